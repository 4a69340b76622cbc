import { execFileSync, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { buildNative } from "../scripts/build-native.mjs";
import { blasFolder, type Libtorch, locateLibtorch } from "../scripts/locate-libtorch.mjs";
import { findCompiler } from "../scripts/toolchain.mjs";
import { builtLibrary } from "../src/built.ts";

let temp: string;
beforeEach(() => {
  temp = realpathSync(mkdtempSync(join(tmpdir(), "libtorch-")));
});
afterEach(() => {
  rmSync(temp, { recursive: true });
});

const suffix = process.platform === "darwin" ? "dylib" : "so";

function write(path: string, text = ""): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text, { mode: 0o755 });
  return path;
}

const versionHeader = (version: string) => {
  const [major, minor, patch] = version.split(".");
  return `#define TORCH_VERSION_MAJOR ${major}\n#define TORCH_VERSION_MINOR ${minor}\n#define TORCH_VERSION_PATCH ${patch}\n`;
};

/** A tree that looks like a libtorch as far as the search goes. */
function fakeLibtorch(root: string, version = "2.4.1"): string {
  write(join(root, "include/ATen/ATen.h"));
  write(join(root, "include/torch/csrc/api/include/torch/version.h"), versionHeader(version));
  write(join(root, `lib/libtorch_cpu.${suffix}`));
  return root;
}

/** A Python that knows of one torch package, or none. */
const fakePython = (path: string, torch = "", greeting = "true", goodbye = "true") =>
  write(path, `#!/bin/sh\n${greeting}\necho '${torch && write(join(torch, "__init__.py"))}'\n${goodbye}\n`);

describe("locateLibtorch", () => {
  const nowhere = () => ({ PATH: join(temp, "no-path") });

  test("finds a library in a system root, with its folders and version", () => {
    const root = fakeLibtorch(join(temp, "usr"));
    expect(locateLibtorch(nowhere(), [join(temp, "empty"), root])).toEqual({
      source: "system",
      version: "2.4.1",
      includeDirs: [join(root, "include"), join(root, "include/torch/csrc/api/include")],
      libDirs: [join(root, "lib")],
      libs: ["torch", "torch_cpu", "c10"],
      cxx11Abi: true,
      cuda: false,
      rpath: [join(root, "lib")],
    });
  });

  test.each([
    ["blas", true],
    ["openblas-pthread", true],
    ["openblas-openmp", true],
    ["mkl", false],
  ])("a system that computes with %s: OpenBLAS on OpenMP is preferred: %s", (chosen, preferred) => {
    const root = fakeLibtorch(join(temp, `usr-${chosen}`));
    write(join(root, "lib", chosen, "libblas.so.3"));
    symlinkSync(join(root, "lib", chosen, "libblas.so.3"), join(root, "lib/libblas.so.3"));
    const folder = join(root, "lib/openblas-openmp");
    expect(blasFolder(join(root, "lib"))).toBe(preferred ? folder : undefined);
    expect(locateLibtorch(nowhere(), [root])?.rpath).toEqual([...(preferred ? [folder] : []), join(root, "lib")]);
  });

  test("the addon has one BLAS loaded, the preferred one where it is installed", () => {
    const preferred = blasFolder(locateLibtorch()!.libDirs[0]!);
    const script = `require(${JSON.stringify(builtLibrary(fileURLToPath(new URL("../build", import.meta.url))))});
      process.stdout.write(process.report.getReport().sharedObjects.filter((path) => /openblas|libblas/.test(path)).join());`;
    const loaded = execFileSync(process.execPath, ["-e", script], { encoding: "utf8" }).split(",").filter(Boolean);
    const folders = new Set(loaded.map((path) => dirname(realpathSync(path))));
    if (preferred !== undefined && existsSync(preferred)) expect([...folders]).toEqual([preferred]);
    else expect(folders.size).toBeLessThanOrEqual(1);
  });

  test("finds nothing where there is nothing", () => {
    expect(locateLibtorch(nowhere(), [temp])).toBeUndefined();
  });

  test("reads any version off the headers, the newer place of the file included", async () => {
    const root = fakeLibtorch(join(temp, "usr"));
    const api = join(root, "include/torch/csrc/api/include/torch/version.h");
    const headerOnly = join(root, "include/torch/headeronly/version.h");
    const part = fc.nat({ max: 99 });
    await fc.assert(
      fc.property(part, part, part, fc.boolean(), (major, minor, patch, moved) => {
        const version = `${major}.${minor}.${patch}`;
        write(api, moved ? "#include <torch/headeronly/version.h>\n" : versionHeader(version));
        write(headerOnly, moved ? versionHeader(version) : "");
        expect(locateLibtorch(nowhere(), [root])?.version).toBe(version);
      }),
      { numRuns: 30 },
    );
  });

  test("prefers LIBTORCH, then Python's torch, then the system's", () => {
    const system = fakeLibtorch(join(temp, "usr"), "1.13.0");
    const wheel = fakeLibtorch(join(temp, "site-packages/torch"), "2.1.0");
    const named = fakeLibtorch(join(temp, "named"), "2.2.0");
    fakePython(join(temp, "bin/python3"), wheel);
    const PATH = `${join(temp, "bin")}:/bin:/usr/bin`;
    expect(locateLibtorch({ PATH }, [system])).toMatchObject({ source: "python", version: "2.1.0" });
    expect(locateLibtorch({ PATH, LIBTORCH: named }, [system])).toMatchObject({ source: "LIBTORCH", version: "2.2.0" });
  });

  test("finds the torch of a Python that greets its users and says goodbye", () => {
    const wheel = fakeLibtorch(join(temp, "site-packages/torch"), "2.1.0");
    const PATH = `${join(temp, "bin")}:/bin:/usr/bin`;
    fakePython(join(temp, "bin/python3"), wheel, "echo Welcome to /opt/torch; echo", "echo; echo bye");
    expect(locateLibtorch({ PATH }, [])).toMatchObject({ source: "python", version: "2.1.0" });
    fakePython(join(temp, "bin/python3"), "", "echo Welcome");
    expect(locateLibtorch({ PATH }, [])).toBeUndefined();
  });

  test("passes over a Python torch without headers", () => {
    const system = fakeLibtorch(join(temp, "usr"), "1.13.0");
    fakePython(join(temp, "bin/python3"), join(temp, "site-packages/torch"));
    const PATH = `${join(temp, "bin")}:/bin:/usr/bin`;
    expect(locateLibtorch({ PATH }, [system])).toMatchObject({ source: "system", version: "1.13.0" });
  });

  test("takes a Python torch made of links into the system for the system's", () => {
    const system = fakeLibtorch(join(temp, "usr"), "1.13.0");
    const torch = join(temp, "usr/lib/python3/dist-packages/torch");
    mkdirSync(join(torch, "include"), { recursive: true });
    mkdirSync(join(torch, "lib"));
    for (const name of ["ATen", "torch"]) symlinkSync(join(system, "include", name), join(torch, "include", name));
    symlinkSync(join(system, `lib/libtorch_cpu.${suffix}`), join(torch, `lib/libtorch_cpu.${suffix}`));
    fakePython(join(temp, "bin/python3"), torch);
    const PATH = `${join(temp, "bin")}:/bin:/usr/bin`;
    expect(locateLibtorch({ PATH }, [system])).toEqual(locateLibtorch(nowhere(), [system]));
  });

  test("LIBTORCH may be a Python executable or a virtual environment", () => {
    const wheel = fakeLibtorch(join(temp, "venv/lib/python3.11/site-packages/torch"), "2.5.0");
    const python = fakePython(join(temp, "venv/bin/python3"), wheel);
    for (const LIBTORCH of [python, join(temp, "venv"), wheel]) {
      const found = locateLibtorch({ PATH: process.env.PATH, LIBTORCH }, []);
      expect(found).toMatchObject({ source: "LIBTORCH", version: "2.5.0", libDirs: [join(wheel, "lib")] });
    }
  });

  test("sees the old ABI of libstdc++ and CUDA by the libraries", () => {
    const root = fakeLibtorch(join(temp, "usr"));
    write(join(root, `lib/libc10.${suffix}`), "\0_ZN3c106detail14torchCheckFailEPKcS2_jRKSs\0");
    write(join(root, `lib/libtorch_cuda.${suffix}`));
    const found = locateLibtorch(nowhere(), [root]);
    expect(found).toMatchObject({ cxx11Abi: false, cuda: true });
    expect(found?.libs).toEqual(["torch", "torch_cpu", "c10", "torch_cuda", "c10_cuda"]);
    write(join(root, `lib/libc10.${suffix}`), "\0_ZN3c106detail14torchCheckFailEPKcS2_jRKNSt7__cxx1112basic_string\0");
    expect(locateLibtorch(nowhere(), [root])).toMatchObject({ cxx11Abi: true });
  });

  const advice =
    "Expected the root of a libtorch (with include/ and lib/), or a Python executable or virtual environment in which " +
    "torch is installed. Correct it, or unset LIBTORCH to have one looked for.";
  const headers = (root: string) => rmSync(join(root, "include"), { recursive: true });
  const libraries = (root: string) => rmSync(join(root, "lib"), { recursive: true });
  const version = (root: string) => write(join(root, "include/torch/csrc/api/include/torch/version.h"), "// nothing");
  test.each([
    ["headers", headers, (root: string) => `it has no C++ headers (looked for ${root}/include/ATen/ATen.h)`],
    ["libraries", libraries, (root: string) => `it has no libtorch_cpu.${suffix} in ${root}/lib`],
    ["version", version, (root: string) => `${root}/include/torch/version.h names no version`],
    ["everything", (root: string) => rmSync(root, { recursive: true }), () => "there is no such file or folder"],
  ])("an unusable LIBTORCH is an error that says why: without %s", (_, remove, problem) => {
    const root = fakeLibtorch(join(temp, "named"));
    remove(root);
    const call = () => locateLibtorch({ ...nowhere(), LIBTORCH: root }, [fakeLibtorch(join(temp, "usr"))]);
    expect(call).toThrow(new Error(`LIBTORCH=${root} cannot be used: ${problem(root)}. ${advice}`));
  });

  test("a LIBTORCH that is a Python without torch is an error", () => {
    const LIBTORCH = fakePython(join(temp, "python"));
    const call = () => locateLibtorch({ PATH: process.env.PATH, LIBTORCH }, []);
    expect(call).toThrow(
      `LIBTORCH=${LIBTORCH} cannot be used: ${LIBTORCH} is not a Python in which torch is installed`,
    );
  });
});

describe("buildNative", () => {
  /** Links against nothing, so that only the building is tried. */
  function project(): { native: string; build: string; libtorch: Libtorch } {
    const libtorch = locateLibtorch({ PATH: "" }, [fakeLibtorch(join(temp, "usr"))]);
    if (!libtorch) throw new Error("the fake libtorch was not found");
    write(join(temp, "native/one.cc"), '#include "shared.h"\nint one() { return VALUE; }\n');
    write(join(temp, "native/two.cc"), "int two() { return 2; }\n");
    write(join(temp, "native/shared.h"), "#define VALUE 1\n");
    return { native: join(temp, "native"), build: join(temp, "build"), libtorch: { ...libtorch, libs: [] } };
  }

  test("compiles what has changed and nothing else, and records the addon", async () => {
    const options = project();
    const { library, compiled } = await buildNative(options);
    expect(compiled).toEqual(["one.cc", "two.cc"]);
    expect(Object.values(JSON.parse(readFileSync(join(temp, "build/current.json"), "utf8")))).toEqual([
      join(basename(dirname(library)), "torch.node"),
    ]);

    expect((await buildNative(options)).compiled).toEqual([]);
    write(join(temp, "native/two.cc"), "int two() { return 22; }\n");
    expect((await buildNative(options)).compiled).toEqual(["two.cc"]);
    write(join(temp, "native/shared.h"), "#define VALUE 11\n");
    expect((await buildNative(options)).compiled).toEqual(["one.cc", "two.cc"]);
  });

  test("compiles a source with those that it includes, and anew when one of them changes", async () => {
    const options = project();
    write(join(temp, "native/all.cc"), '#include "parts/part.cc"\n');
    write(join(temp, "native/parts/part.cc"), "int part() { return 3; }\n");
    expect((await buildNative(options)).compiled).toEqual(["all.cc", "one.cc", "two.cc"]);
    expect((await buildNative(options)).compiled).toEqual([]);
    write(join(temp, "native/parts/part.cc"), "int part() { return 33; }\n");
    expect((await buildNative(options)).compiled).toEqual(["all.cc"]);
  });

  test("keeps the addons of two libraries apart", async () => {
    const options = project();
    const first = await buildNative(options);
    const second = await buildNative({ ...options, libtorch: { ...options.libtorch, version: "2.9.9" } });
    expect(second.library).not.toBe(first.library);
    expect(readFileSync(first.library).length).toBeGreaterThan(0);
  });

  test("gives the compiler the arguments of CXX, and compiles anew for others", async () => {
    const options = project();
    const log = join(temp, "log");
    const wrapper = write(join(temp, "my wrapper"), `#!/bin/sh\necho "$*" >> '${log}'\nexec "$@"\n`);
    symlinkSync(wrapper, join(temp, "wrapper"));
    // By its name alone: the path of the folder may have spaces, at which CXX ends.
    vi.stubEnv("PATH", `${temp}:${process.env.PATH}`);
    onTestFinished(() => void vi.unstubAllEnvs());
    const named = findCompiler().command;
    await buildNative({ ...options, compiler: findCompiler({ CXX: ` wrapper  ${named} -DA ` }) });
    const lines = readFileSync(log, "utf8").trim().split("\n");
    expect(lines).toHaveLength(4); // its version, two files, a library
    for (const line of lines) expect(line.startsWith(`${named} -DA `)).toBe(true);
    const compiler = findCompiler({ CXX: `wrapper ${named} -DB` });
    expect((await buildNative({ ...options, compiler })).compiled).toHaveLength(2);
    write(wrapper, "#!/bin/sh\necho mine\n");
    expect(findCompiler({ CXX: wrapper })).toEqual({ command: wrapper, args: [], version: "mine" });
  });

  test("a CXX that does not run is named, and nothing else is to be installed", () => {
    for (const CXX of ["/nowhere/g++ -m64", "false"]) {
      expect(() => findCompiler({ CXX })).toThrow(`CXX=${CXX} does not run`);
      expect(() => findCompiler({ CXX })).not.toThrow(/[Ii]nstall/);
    }
  });

  test("a folder without sources is named before anything is made", async () => {
    const options = { ...project(), native: join(temp, "nowhere") };
    await expect(buildNative(options)).rejects.toThrow(join(temp, "nowhere", "*.cc"));
    expect(existsSync(options.build)).toBe(false);
    const program = fileURLToPath(new URL("../bin/iqvae-torch.mjs", import.meta.url));
    const fail = (...folders: string[]) => {
      const command = [program, "build", ...folders];
      const { status, stdout, stderr } = spawnSync(process.execPath, command, { encoding: "utf8" });
      expect([status, stdout]).toEqual([1, ""]);
      return stderr;
    };
    expect(fail(temp, join(temp, "nowhere"))).toContain(join(temp, "nowhere", "native"));
    expect(fail()).toContain("'build' needs a folder");
  });

  test("setup says how long it will take before it compiles", () => {
    const CXX = write(join(temp, "no-compiler"), `#!/bin/sh\nif [ "$1" = --version ]; then echo 1; else exit 1; fi\n`);
    const program = fileURLToPath(new URL("../bin/iqvae-torch.mjs", import.meta.url));
    const { stdout, stderr } = spawnSync(process.execPath, [program], {
      encoding: "utf8",
      env: { ...process.env, CXX },
    });
    expect(stdout).toMatch(/^Compiling, which takes about \d+ (seconds|minutes)/);
    expect(stderr).toContain("failed");
  });

  test("shows the compiler's last words and what to do", async () => {
    const options = project();
    const source = write(join(temp, "native/two.cc"), "#error this is the reason\n");
    const failure = buildNative(options);
    await expect(failure).rejects.toThrow(`Compiling ${source} failed`);
    await expect(failure).rejects.toThrow("this is the reason");
    await expect(failure).rejects.toThrow(
      "Name another compiler by CXX, or another libtorch by LIBTORCH, and try again.",
    );
  });
});
