import { execFileSync } from "node:child_process";
import { ConvTranspose2d, grad, manualSeed, ops, supportsBfloat16, type Tensor } from "@iqvae/torch";
import { expect, test } from "vitest";
import { compiledChild } from "./children/compiled.ts";

interface Report {
  readonly supported: boolean;
  readonly dtype: string;
  readonly sum: number;
  readonly found: Readonly<Record<string, readonly number[]>>;
  readonly warnings: readonly string[];
}

/** A processor with AVX2 and no more, as far as libtorch and oneDNN let one be simulated. */
const AVX2 = { ATEN_CPU_CAPABILITY: "avx2", ONEDNN_MAX_CPU_ISA: "AVX2", DNNL_MAX_CPU_ISA: "AVX2" };

const report = (env: Readonly<Record<string, string>>): Report =>
  JSON.parse(
    execFileSync(process.execPath, [compiledChild("bfloat16.mjs")], {
      env: { ...process.env, NODE_NO_WARNINGS: "1", ...env },
      encoding: "utf8",
    }),
  );

test.each([
  ["this processor", {}],
  ["one with AVX2 and no more", AVX2],
])("autocast on %s rounds to bfloat16 and no coarser, or works in float32 and says so once", (_, env) => {
  const { supported, dtype, sum, found, warnings } = report(env);
  // Each factor is rounded by up to 2⁻⁹ and so is the result; sums in bfloat16 would be off by 0.03 to 0.14.
  const worst = supported ? 0.01 : 1e-5;
  for (const [name, errors] of Object.entries(found))
    for (const [i, error] of errors.entries()) expect(error, `${name} ${i}`).toBeLessThan(worst);
  expect(sum).toBe(4096);
  expect(dtype).toBe(supported ? "bfloat16" : "float32");
  expect(warnings).toEqual(supported ? [] : ["TORCH_BFLOAT16"]);
});

test("only the CPU is in question", () => {
  expect([supportsBfloat16("cuda:0"), supportsBfloat16("meta")]).toEqual([true, true]);
  expect(supportsBfloat16("cpu")).toBe(supportsBfloat16());
});

test("ConvTranspose2d in bfloat16 is that in float32, rounded", () => {
  manualSeed(2);
  for (const options of [
    { stride: 2, outputPadding: 1, groups: 2 },
    { bias: false, dilation: 2 },
  ]) {
    const layer = new ConvTranspose2d(4, 6, 3, options);
    const x = ops.aten.randn([2, 4, 5, 7]);
    const all = (x: Tensor) => {
      const y = layer.forward(x.requires_grad_());
      expect(y.dtype).toBe(x.dtype);
      return [y, ...grad([y.float().square().sum()], [x, ...layer.parameters()])].map((each) => each!.float());
    };
    const exact = all(x);
    layer.to("bfloat16");
    for (const [i, each] of all(x.detach().bfloat16()).entries())
      expect(each.sub(exact[i]!).norm().div(exact[i]!.norm()).item(), `${i}`).toBeLessThan(0.02);
  }
});
