import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { builtLibrary, callOperator, hasOperator, loadLibrary, type Tensor, tensor } from "@iqvae/torch";
import { afterAll, expect, test } from "vitest";
import { buildKernels } from "../scripts/build-native.mjs";

const folder = mkdtempSync(join(tmpdir(), "library-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("operators of a library of one's own are built, loaded and called", async () => {
  const source = `#include <ATen/core/Tensor.h>
#include <ATen/ops/mul.h>
#include <torch/library.h>
at::Tensor twice(const at::Tensor& x) { return at::mul(x, 2); }
TORCH_LIBRARY_FRAGMENT(own, m) { m.def("twice(Tensor x) -> Tensor", twice); }
`;
  mkdirSync(join(folder, "native"));
  writeFileSync(join(folder, "native/twice.cc"), source);
  const { library } = await buildKernels(folder);
  expect(builtLibrary(join(folder, "build"))).toBe(library);

  expect(hasOperator("own::twice")).toBe(false);
  loadLibrary(library);
  loadLibrary(library); // a second time does nothing
  expect(hasOperator("own::twice")).toBe(true);
  const y = callOperator("own::twice", tensor([1, 2])) as Tensor;
  expect([...y.read("float32")]).toEqual([2, 4]);
});

test("what cannot be loaded is an error with its path", () => {
  const absent = join(folder, "absent.so");
  expect(() => loadLibrary(absent)).toThrow(absent);
  const text = join(folder, "text.so");
  writeFileSync(text, "not a library");
  expect(() => loadLibrary(text)).toThrow(text);
});

test("a folder without a build names itself and the way to build", () => {
  expect(() => builtLibrary(join(folder, "nowhere"))).toThrow(join(folder, "nowhere"));
  expect(() => builtLibrary(join(folder, "nowhere"))).toThrow("npm run setup");
});
