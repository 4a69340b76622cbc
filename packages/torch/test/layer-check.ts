import { type Module, ops, scope, supportsBfloat16, type Tensor } from "@iqvae/torch";
import { expect } from "vitest";
import { expectClose, FLOAT32, type GoldenCase, type Tolerance } from "./goldens.ts";

/** A module that is given the tensors of a golden and gives one or several, where it gives them. */
export interface Subject extends Module {
  forward(...inputs: Tensor[]): Tensor | (Tensor | null)[];
}

/** A module with the golden's weights gives its outputs, its gradients, and its buffers after. */
export function checkLayer(
  golden: GoldenCase,
  layer: Subject,
  options: {
    name?: string;
    tolerance?: Tolerance;
    run?: <T>(body: () => T) => T;
    call?: (...inputs: Tensor[]) => Tensor | (Tensor | null)[];
  } = {},
): void {
  const {
    name = "",
    tolerance = FLOAT32,
    run = (body) => body(),
    call = (...inputs) => layer.forward(...inputs),
  } = options;
  scope(() => {
    layer.loadStateDict(golden.get("weight") ?? new Map());
    const inputs = [...golden.get("input")!.values()].map((given) => {
      const input = given.clone();
      if (input.dtype === "float32") input.requiresGrad = true;
      return input;
    });
    const outputs = [run(() => call(...inputs))].flat();
    const wanted = [...golden.get("output")!.values()];
    expect(outputs.filter((output) => output !== null)).toHaveLength(wanted.length);
    const losses = wanted.map((each, i) => {
      const output = outputs[i]!;
      // Where bfloat16 cannot be relied on, autocast works in float32, which is within the tolerance, too.
      expectClose(output, supportsBfloat16() ? each : each.to("float32"), `${name}: output ${i}`, tolerance);
      return output.to("float32").mul(ops.aten.arange(output.numel()).cos().reshape(output.shape)).sum();
    });
    losses.reduce((sum, loss) => sum.add(loss)).backward();
    const expected = golden.get("gradient") ?? new Map<string, Tensor>();
    const parameters = layer.namedParameters();
    expect([...parameters.keys()].sort()).toEqual([...expected.keys()].sort());
    for (const [path, parameter] of parameters)
      expectClose(parameter.grad!, expected.get(path)!, `${name}: gradient of ${path}`, tolerance);
    for (const [index, slope] of golden.get("slope") ?? [])
      expectClose(inputs[Number(index)]!.grad!, slope, `${name}: gradient of input ${index}`, tolerance);
    const buffers = layer.namedBuffers();
    expect([...buffers.keys()].sort()).toEqual([...(golden.get("after")?.keys() ?? [])].sort());
    for (const [path, buffer] of buffers) expectClose(buffer, golden.get("after")!.get(path)!, `${name}: ${path}`);
  });
}
