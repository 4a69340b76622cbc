import { AdamW, autocast, type Module, ops, scope, type Tensor } from "@iqvae/torch";
import { axesOf, type Sides } from "../models/autoencoder.ts";
import { VqAutoencoder } from "../models/iqvae.ts";
import { type TokenShape, Transformer, type TransformerConfig } from "../models/transformer.ts";
import { type Planned, plannedTokens } from "./planned.ts";

/** A network with made-up data: what a training step does to it, without a data set. */
export interface Trial {
  /** Forward and backward; gradients are left. */
  pass(): void;
  /** What the optimizer does with them. */
  update(): void;
  readonly parameters: number;
  dispose(): void;
}

/** Both halves of stage 1, or the one that there is. */
export function stage1Trial({ image, condition, size, precision }: Planned, batch: number): Trial {
  const square: Sides = [size, size];
  const halves = [{ model: new VqAutoencoder(3, 3, image), inputs: 3, outputs: 3, sides: square }];
  if (condition.kind === "planes") {
    const { inputs, outputs, model, planes: sides = square } = condition;
    halves.push({ model: new VqAutoencoder(inputs, outputs, model, axesOf(sides)), inputs, outputs, sides });
  }
  const half = (each: (typeof halves)[number]): Tensor => {
    const planes = (channels: number) => ops.aten.rand([batch, ...each.sides, channels]).permute([0, 3, 1, 2]);
    const target = planes(each.outputs);
    const { reconstruction, quantized } = each.model.forward(planes(each.inputs), "use");
    return ops.aten.l1_loss(reconstruction.to("float32"), target).add(quantized.commitment);
  };
  const parts = halves.map(({ model }) => model);
  return trial(parts, precision, () => halves.map(half).reduce((sum, loss) => sum.add(loss)));
}

/** The transformer on sequences of made-up tokens. */
export function stage2Trial(
  config: TransformerConfig,
  tokens: TokenShape,
  precision: Planned["precision"],
  batch: number,
): Trial {
  const model = new Transformer(config, tokens);
  const random = (codes: number, count: number) => ops.aten.randint(codes, [batch, count], { dtype: "int64" });
  return trial([model], precision, () => {
    const images = random(tokens.imageCodes, tokens.imageTokens);
    const condition = random(tokens.conditionCodes, tokens.conditionTokens);
    const logits = model.forward(condition, images.slice(1, 0, tokens.imageTokens - 1), { training: true });
    return ops.aten.cross_entropy_loss(logits.flatten(0, 1).to("float32"), images.flatten());
  });
}

function trial(parts: readonly Module[], precision: Planned["precision"], loss: () => Tensor): Trial {
  const parameters = new Map(
    parts.flatMap((part, i) => [...part.namedParameters()].map(([name, value]) => [`${i}.${name}`, value] as const)),
  );
  const optimizer = new AdamW(parameters);
  return {
    parameters: parts.reduce((sum, part) => sum + part.parameterCount(), 0),
    pass: () =>
      scope(() => {
        optimizer.zeroGrad();
        const value = scope(() => (precision === "bfloat16" ? autocast({ dtype: "bfloat16" }, loss) : loss()));
        value.backward();
      }),
    update: () => scope(() => optimizer.step(1e-4)),
    dispose: () => {
      optimizer.zeroGrad();
      for (const tensor of optimizer.tensors().values()) tensor.dispose();
      for (const part of parts) for (const tensor of part.stateDict().values()) tensor.dispose();
    },
  };
}

/** Seconds of one step on this machine. */
export interface StepTimes {
  readonly stage1: number;
  readonly stage2: number;
}

/**
 * Times a step of each stage from a short measurement: a pass of one pair through stage 1, and passes of one sequence through
 * transformers of one and of two layers, whose difference is a layer. Passes count as often as the batch is large; the
 * optimizer's time goes with the parameters.
 */
export function measureStepTimes(planned: Planned, extraPasses: number): StepTimes {
  const tokens = plannedTokens(planned);
  const { transformer, precision, stage1Batch, stage2Batch, accumulate } = planned;
  const first = timed(stage1Trial(planned, 1));
  const [one, two] = [1, 2].map((layers) => timed(stage2Trial({ ...transformer, layers }, tokens, precision, 1)));
  const layer = { pass: Math.max(0, two!.pass - one!.pass), update: Math.max(0, two!.update - one!.update) };
  const whole = (part: "pass" | "update") => one![part] + (transformer.layers - 1) * layer[part];
  return {
    stage1: first.pass * stage1Batch + first.update,
    stage2: whole("pass") * stage2Batch * accumulate * (1 + extraPasses) + whole("update"),
  };
}

/** The first pass prepares kernels and memory; the better of the next two counts. */
function timed(subject: Trial): { pass: number; update: number } {
  const seconds = (body: () => void): number => {
    const begin = performance.now();
    body();
    return (performance.now() - begin) / 1000;
  };
  subject.pass();
  subject.update();
  const runs = [0, 1].map(() => ({ pass: seconds(subject.pass), update: seconds(subject.update) }));
  subject.dispose();
  const best = (part: "pass" | "update") => Math.min(...runs.map((run) => run[part]));
  return { pass: best("pass"), update: best("update") };
}
