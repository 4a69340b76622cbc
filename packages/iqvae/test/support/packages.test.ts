import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zipSync } from "fflate";
import { create } from "tar";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { fetchPackage, type Package, packageAtHand, packageFolderOf } from "../../src/support/packages.ts";

let root: string;
let cache: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "iqvae-packages-"));
  cache = join(root, "cache");
  // Nothing but the programs that a test puts there, so that none of them can reach the network.
  mkdirSync(join(root, "bin"));
  vi.stubEnv("PATH", join(root, "bin"));
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  rmSync(root, { recursive: true });
});

/** A shell script in the place of a program. Its calls are written down. */
function program(name: string, body: string) {
  const path = join(root, "bin", name);
  writeFileSync(path, `#!/bin/sh\nPATH=/usr/bin:/bin\necho "${name} $*" >> "${root}/calls"\n${body}\n`);
  chmodSync(path, 0o755);
}
const calls = () => readFileSync(join(root, "calls"), "utf8").trim().split("\n");
const hashOf = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");

/** A tarball with `around/kept/a.txt` and `around/left.txt`. */
async function tarball(path: string, around: string, gzip: boolean) {
  const folder = join(root, "content");
  mkdirSync(join(folder, around, "kept"), { recursive: true });
  writeFileSync(join(folder, around, "kept", "a.txt"), "a");
  writeFileSync(join(folder, around, "left.txt"), "b");
  await create({ file: path, cwd: folder, gzip }, [around]);
  return hashOf(path);
}

async function npmPackage(): Promise<Package> {
  const sha256 = await tarball(join(root, "it.tgz"), "package", true);
  program("npm", `cp "${root}/it.tgz" maker-thing-1.2.3.tgz`);
  return { kind: "npm", name: "@maker/thing", version: "1.2.3", sha256 };
}

describe("a package that is fetched", () => {
  it("comes from npm once, without its scripts, and is whole or not there", async () => {
    const wanted = await npmPackage();
    const messages: string[] = [];
    const options = { onMessage: (message: string) => messages.push(message) };
    expect(packageAtHand(wanted, cache)).toBeUndefined();
    const folder = await fetchPackage(wanted, cache, options);
    expect(folder).toBe(join(cache, "packages", "maker-thing-1.2.3"));
    expect(readFileSync(join(folder, "kept", "a.txt"), "utf8")).toBe("a");
    expect(await fetchPackage(wanted, cache, options)).toBe(folder);
    expect(packageAtHand(wanted, cache)).toBe(folder);
    expect(calls()).toEqual(["npm pack --ignore-scripts @maker/thing@1.2.3"]);
    expect(messages).toEqual([expect.stringContaining("npm pack --ignore-scripts @maker/thing@1.2.3")]);
    expect(readdirSync(join(cache, "packages"))).toEqual(["maker-thing-1.2.3"]);
  });

  it("keeps the files that are asked for, and is fetched again for others", async () => {
    const all = await npmPackage();
    const folder = await fetchPackage({ ...all, files: ["kept"] }, cache);
    expect(readdirSync(folder)).toEqual(["kept"]);
    await fetchPackage({ ...all, files: ["kept/a.txt", "left.txt"] }, cache);
    expect(readdirSync(folder).sort()).toEqual(["kept", "left.txt"]);
    expect(calls().length).toBe(2);
    await expect(fetchPackage({ ...all, files: ["lef"] }, cache)).rejects.toThrow("there is no lef in it");
    expect(readdirSync(join(cache, "packages"))).toEqual(["maker-thing-1.2.3"]);
  });

  it("is refused when its file is not the one that is expected", async () => {
    const wanted = await npmPackage();
    const other = { ...wanted, sha256: "0".repeat(64) };
    await expect(fetchPackage(other, cache)).rejects.toThrow(wanted.sha256);
    expect(readdirSync(join(cache, "packages"))).toEqual([]);
  });

  it("comes as a wheel from pip, or from uv where there is no pip", async () => {
    const wheel = zipSync({ "thing/kept/a.txt": Buffer.from("a"), "thing/left.txt": Buffer.from("b") });
    writeFileSync(join(root, "it.whl"), wheel);
    const wanted: Package = {
      kind: "pip",
      name: "thing",
      version: "2.0",
      sha256: hashOf(join(root, "it.whl")),
      files: ["thing/kept"],
    };
    await expect(fetchPackage(wanted, cache)).rejects.toThrow("python3 with pip or uvx was not found on this machine");
    program("python3", 'echo "/usr/bin/python3: No module named pip" >&2; exit 1');
    program("uvx", `cp "${root}/it.whl" thing-2.0-py3-none-any.whl`);
    const folder = await fetchPackage(wanted, cache);
    expect(readFileSync(join(folder, "thing", "kept", "a.txt"), "utf8")).toBe("a");
    expect(existsSync(join(folder, "thing", "left.txt"))).toBe(false);
    const download = "pip download --no-deps --only-binary=:all: thing==2.0";
    expect(calls()).toEqual([`python3 -m ${download}`, `uvx ${download}`]);
  });

  it("may not write outside of its folder", async () => {
    writeFileSync(join(root, "it.whl"), zipSync({ "../../../evil.txt": Buffer.from("a") }));
    program("python3", `cp "${root}/it.whl" .`);
    const wanted: Package = { kind: "pip", name: "evil", version: "1", sha256: hashOf(join(root, "it.whl")) };
    await expect(fetchPackage(wanted, cache)).rejects.toThrow("../../../evil.txt");
    expect(readdirSync(join(cache, "packages"))).toEqual([]);
    expect(existsSync(join(cache, "evil.txt"))).toBe(false);
  });

  it("comes from Debian, for root after apt's lists", async () => {
    const data = join(root, "data.tar");
    await tarball(data, "./usr", false);
    writeFileSync(join(root, "it.deb"), "not looked into by the dpkg-deb of this test");
    program("dpkg-deb", `cat "${data}"`);
    const apt = `if [ $1 = update ]; then touch "${root}/lists"; exit 0; fi`;
    const known = `if [ -f "${root}/lists" ]; then cp "${root}/it.deb" thing_1-2_all.deb; exit 0; fi`;
    program("apt-get", `${apt}\n${known}\necho "E: Unable to locate package thing" >&2\necho "W: other" >&2; exit 100`);
    const sha256 = hashOf(join(root, "it.deb"));
    const wanted: Package = { kind: "deb", name: "thing", version: "1-2", sha256, files: ["usr/kept"] };
    const user = vi.spyOn(process, "getuid").mockReturnValue(1000);
    await expect(fetchPackage(wanted, cache)).rejects.toThrow('"apt-get download thing=1-2": E: Unable to locate');
    user.mockReturnValue(0);
    const folder = await fetchPackage(wanted, cache);
    expect(readdirSync(join(folder, "usr"))).toEqual(["kept"]);
    expect(calls()[0]).toBe("apt-get download thing=1-2");
    expect(calls().at(-1)).toMatch(/^dpkg-deb --fsys-tarfile .*thing_1-2_all\.deb$/);
  });

  it("says which tool or archive is at fault, and what to do instead", async () => {
    const wanted: Package = { kind: "deb", name: "thing", version: "1-2", sha256: "0".repeat(64) };
    const failed = fetchPackage(wanted, cache);
    await expect(failed).rejects.toThrow("apt-get was not found on this machine");
    await expect(failed).rejects.toThrow(`dpkg-deb -x FILE ${packageFolderOf(wanted, cache)}`);
    writeFileSync(join(root, "it.deb"), "");
    program("apt-get", `cp "${root}/it.deb" thing_1-2_all.deb`);
    const empty = { ...wanted, sha256: hashOf(join(root, "it.deb")) };
    await expect(fetchPackage(empty, cache)).rejects.toThrow("dpkg-deb was not found on this machine");
    program("dpkg-deb", 'echo "dpkg-deb: error: not a Debian archive" >&2; exit 2');
    await expect(fetchPackage(empty, cache)).rejects.toThrow("not a Debian archive");
    program("npm", 'printf "npm error code E404\\nnpm error 404 no such thing\\nnpm error A complete log" >&2; exit 1');
    const absent: Package = { ...wanted, kind: "npm" };
    await expect(fetchPackage(absent, cache)).rejects.toThrow(
      '"npm pack --ignore-scripts thing@1-2": 404 no such thing.',
    );
    expect(readdirSync(join(cache, "packages"))).toEqual([]);
  });

  it("is taken from a folder that another process made in the meantime", async () => {
    const wanted = await npmPackage();
    const folder = packageFolderOf(wanted, cache);
    program("npm", `cp "${root}/it.tgz" it.tgz; mkdir -p "${folder}"; echo other > "${folder}/a.txt"`);
    await fetchPackage(wanted, cache);
    expect(readdirSync(folder)).toEqual(["a.txt"]);
  });
});
