/**
 * @param {string} version of Node.js
 * @throws {Error} when it is too old
 */
export function checkNode(version) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > 22 || (major === 22 && minor >= 3) || (major === 20 && minor >= 16)) return;
  throw new Error(
    `Node.js 20 (20.16 or newer) or 22.3 or newer is needed, and this is ${version}. Install one from nodejs.org or with nvm.`,
  );
}
