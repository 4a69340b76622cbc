import { appendFileSync, readFileSync, truncateSync } from "node:fs";
import { liveTensors, readSafetensors, readSafetensorsHeader, scope, tensor, writeSafetensors } from "@iqvae/torch";
import { describe, expect, test } from "vitest";
import { goldenPath } from "./goldens.ts";
import { failure, forge, reference, temporaryFile } from "./safetensors-support.ts";

const file = temporaryFile();

describe("reading", () => {
  test("what the reference implementation wrote", () => {
    const { tensors, metadata } = readSafetensors(goldenPath("reference.safetensors"));
    expect(metadata).toEqual({ format: "pt" });
    const expected = reference();
    expect([...tensors.keys()].sort()).toEqual([...expected.keys()].sort());
    for (const [name, made] of expected) {
      expect(`${name}: ${tensors.get(name)}`).toBe(`${name}: ${made}`);
      expect(tensors.get(name)?.toTypedArray(), name).toEqual(made.toTypedArray());
    }
    expect(tensors.get("bfloat16")?.read("bfloat16")).toEqual(
      new Uint16Array([0, 0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0]),
    );
    expect(tensors.get("bool")?.read("bool")).toEqual(new Uint8Array([0, 1, 1, 1, 1, 1]));
  });

  test("the header alone says what lies where", () => {
    const header = readSafetensorsHeader(goldenPath("reference.safetensors"));
    expect(header.metadata).toEqual({ format: "pt" });
    expect([...header.tensors].slice(0, 2)).toEqual([
      ["int64", { dtype: "int64", shape: [2, 3], start: 0, end: 48 }],
      ["float64", { dtype: "float64", shape: [2, 3], start: 48, end: 96 }],
    ]);
    expect(header.tensors.get("scalar")).toMatchObject({ shape: [], dtype: "float32" });
    expect(header.dataStart % 8).toBe(0);
  });

  test("a file of more than 4 GiB is read where it is asked for", () => {
    const gap = 5 * 2 ** 30;
    const end = Buffer.from(Float32Array.of(1.5, 2.5).buffer);
    forge(file.path, {
      zeros: { dtype: "U8", shape: [gap], data_offsets: [0, gap] },
      last: { dtype: "F32", shape: [2], data_offsets: [gap, gap + 8] },
    });
    truncateSync(file.path, readFileSync(file.path).length + gap);
    appendFileSync(file.path, end);
    expect(readSafetensorsHeader(file.path).tensors.get("last")?.start).toBe(gap);
    const { tensors } = readSafetensors(file.path, { names: ["last"] });
    expect([...tensors.keys()]).toEqual(["last"]);
    expect(tensors.get("last")?.read("float32")).toEqual(Float32Array.of(1.5, 2.5));
  });

  test("names are chosen, and one that is not there is told", () => {
    writeSafetensors(
      file.path,
      new Map([
        ["a", tensor([1])],
        ["b", tensor([2])],
      ]),
    );
    expect([...readSafetensors(file.path, { names: new Set(["b"]) }).tensors.keys()]).toEqual(["b"]);
    expect(failure(() => readSafetensors(file.path, { names: ["a", "c"] })).message).toBe(
      `${file.path}: it has no tensor "c"; it has a, b`,
    );
  });

  test("tensors of a dtype that is not known here leave the others readable, and are named when they are asked for", () => {
    const entries = {
      scales: { dtype: "F32", shape: [1], data_offsets: [0, 4] },
      eighths: { dtype: "F8_E4M3", shape: [3], data_offsets: [4, 7] },
      counts: { dtype: "U16", shape: [2], data_offsets: [7, 11] },
      last: { dtype: "U8", shape: [1], data_offsets: [11, 12] },
    };
    forge(file.path, entries, Uint8Array.of(0, 0, 0xc0, 0x3f, 1, 2, 3, 4, 5, 6, 7, 8));
    const header = readSafetensorsHeader(file.path);
    expect([[...header.tensors.keys()], [...header.unsupported]]).toEqual([
      ["scales", "last"],
      [
        ["eighths", "F8_E4M3"],
        ["counts", "U16"],
      ],
    ]);
    const { tensors } = readSafetensors(file.path, { names: header.tensors.keys() });
    expect([tensors.get("scales")?.item(), tensors.get("last")?.item()]).toEqual([1.5, 8]);
    expect(failure(() => readSafetensors(file.path)).message).toContain('"eighths" has the dtype F8_E4M3');
    expect(failure(() => readSafetensors(file.path, { names: ["counts"] })).message).toContain(
      '"counts" has the dtype U16',
    );
    expect(failure(() => readSafetensors(file.path, { names: ["x"] })).message).toContain(
      "scales, last, eighths, counts",
    );
  });

  test("reading leaves what it returns and nothing else, also when it fails", () => {
    writeSafetensors(
      file.path,
      new Map([
        ["a", tensor([1])],
        ["b", tensor([2])],
      ]),
    );
    scope(() => {
      const before = liveTensors();
      readSafetensors(file.path);
      expect(liveTensors()).toBe(before + 2);
    });
    const before = liveTensors();
    expect(failure(() => readSafetensors(file.path, { names: ["c"] }))).toMatchObject({ path: file.path });
    writeSafetensors(
      file.path,
      scope(() => new Map([["a", tensor([1])]])),
    );
    expect(liveTensors()).toBeLessThanOrEqual(before + 1);
  });

  test("bytes that are no booleans become booleans", () => {
    forge(file.path, { flags: { dtype: "BOOL", shape: [3], data_offsets: [0, 3] } }, Uint8Array.of(0, 2, 255));
    expect(readSafetensors(file.path).tensors.get("flags")?.read("bool")).toEqual(Uint8Array.of(0, 1, 1));
  });
});
