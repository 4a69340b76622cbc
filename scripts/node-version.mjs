/**
 * @param {string} version of Node.js
 * @throws {Error} when it is too old
 */
export function checkNode(version) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > 22 || (major === 22 && minor >= 2) || (major === 20 && minor >= 15)) return;
  throw new Error(
    `Node.js 20 (20.15 or newer) or 22.2 or newer is needed, and this is ${version}. Install one from nodejs.org or with nvm.`,
  );
}
