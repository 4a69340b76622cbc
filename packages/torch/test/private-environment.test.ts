import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { locateLibtorch } from "../scripts/locate-libtorch.mjs";
import { installPrivately, privateEnvironment } from "../scripts/private-environment.mjs";

/** Says how large files are, by their names, and hands out none. */
const server = createServer((request, response) => {
  const bytes = /(\d+)\.whl$/.exec(request.url ?? "")?.[1];
  if (request.method === "HEAD" && bytes) response.setHeader("content-length", bytes);
  else response.statusCode = 404;
  response.end();
});
beforeAll(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve)));
afterAll(() => server.close());
const url = (file: string) => `http://127.0.0.1:${(server.address() as AddressInfo).port}/${file}`;

let temp: string;
let said: string;
const PATH = process.env.PATH;
beforeEach(() => {
  temp = realpathSync(mkdtempSync(join(tmpdir(), "private-")));
  said = "";
  vi.spyOn(console, "log").mockImplementation((text: string) => {
    said += `${text}\n`;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  process.env.PATH = PATH;
  rmSync(temp, { recursive: true });
});

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text, { mode: 0o755 });
}

/** A python3 that makes environments, whose pip reports `files` and installs what looks like a libtorch. */
function fakePython(files: readonly string[], { old = false, failing = false, reachable = "" } = {}): void {
  const install = files.map((file, i) => ({
    metadata: { name: i === 0 ? "torch" : `needed${i}`, version: "2.9.0" },
    download_info: { url: url(file) },
  }));
  const header = "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 9\n#define TORCH_VERSION_PATCH 0";
  const inside = `#!/bin/sh
root="$(dirname "$0")/../torch"
echo "$*" >> "${temp}/calls"
case "$*" in
  *pip.__version__*) exit ${old ? 3 : 0};;
  *--dry-run*) ${reachable && `case "$*" in *${reachable}*) exit 1;; esac;`} cat "${temp}/report";;
  *"pip install"*) ${failing ? "echo no room; exit 1" : ""}
    mkdir -p "$root/include/ATen" "$root/include/torch/csrc/api/include/torch" "$root/lib"
    cd "$root" && touch __init__.py include/ATen/ATen.h lib/libtorch_cpu.so lib/libtorch_cpu.dylib
    echo "${header}" > include/torch/csrc/api/include/torch/version.h;;
  *find_spec*) echo "$root/__init__.py";;
esac
`;
  write(join(temp, "report"), JSON.stringify({ install }));
  write(join(temp, "inside"), inside);
  write(
    join(temp, "bin/python3"),
    `#!/bin/sh\ncase "$*" in *"-m venv"*) mkdir -p "$3/bin"; cp "${temp}/inside" "$3/bin/python";; esac\n`,
  );
  process.env.PATH = `${join(temp, "bin")}:/bin:/usr/bin`;
}

const folder = () => join(temp, "home/python");
const install = (answer: boolean, index: string | null = null) => {
  const asked: string[] = [];
  const ask = async () => {
    asked.push(said);
    return answer;
  };
  return { asked, done: installPrivately({ yes: false, folder: folder(), index, ask }) };
};

describe("installPrivately", () => {
  test("says what it would download before it asks, and leaves nothing where that is not wanted", async () => {
    fakePython(["torch-1500000000.whl", "more-250000000.whl", "more-50000000.whl"]);
    const { asked, done } = install(false);
    expect(await done).toBe(false);
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatch(/PyTorch 2\.9\.0 and 2 packages.*: 1\.8 GB to download.*Free there: [\d.]+ [MG]B/s);
    expect(existsSync(folder())).toBe(false);
  });

  test("installs where that is agreed to, and there it is found after all others", async () => {
    fakePython(["torch-200000000.whl"]);
    const env = { PATH: "/nowhere", XDG_DATA_HOME: temp };
    const place = privateEnvironment(env)!;
    expect(place.startsWith(temp)).toBe(true);
    expect(locateLibtorch(env, [])).toBeUndefined();
    expect(await installPrivately({ yes: true, folder: place, index: null })).toBe(true);
    expect(said).toContain("200 MB to download");
    expect(locateLibtorch({ ...env, PATH: process.env.PATH }, [])).toMatchObject({
      source: "private",
      version: "2.9.0",
    });
  });

  test("downloads nothing that the disk has no room for", async () => {
    fakePython(["torch-900000000000000.whl"]);
    const { asked, done } = install(true);
    await expect(done).rejects.toThrow(/about 1800000\.0 GB.*XDG_DATA_HOME/);
    expect(asked).toEqual([]);
    expect(existsSync(folder())).toBe(false);
  });

  test("takes the index that is set up where the one for processors cannot be reached", async () => {
    fakePython(["torch-300000000.whl"], { reachable: "elsewhere" });
    const { done } = install(false, "http://elsewhere");
    await done;
    expect(said).toContain("300 MB to download");
    expect(said).toMatch(/http:\/\/elsewhere cannot be reached.*CUDA/);
  });

  test.each([
    ["pip is too old to tell", ["torch-1.whl"], { old: true }],
    ["a file does not say", ["torch-1.whl", "more.whl"], {}],
  ])("says that sizes are not known where %s", async (_, files, options) => {
    fakePython(files, options);
    const { asked, done } = install(false);
    expect(await done).toBe(false);
    expect(asked[0]).toContain("could not be learned");
  });

  test("leaves nothing behind where installing fails, and says why", async () => {
    fakePython(["torch-1.whl"], { failing: true });
    await expect(install(true).done).rejects.toThrow(/Installing PyTorch failed.*no room/s);
    expect(existsSync(folder())).toBe(false);
  });

  test("says what to install where there is no Python", async () => {
    process.env.PATH = join(temp, "nothing");
    await expect(install(true).done).rejects.toThrow(/uv or with a Python that has venv.*python3-venv/s);
  });

  test("without a home there is no place for it", () => {
    expect(privateEnvironment({})).toBeUndefined();
    expect(privateEnvironment({ HOME: "/home/me" })).toBe("/home/me/.local/share/iqvae-torch/python");
  });
});
