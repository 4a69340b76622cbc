import { AdamW, autocast, type Module, noGrad, ops, scope, type Tensor, unscoped } from "@iqvae/torch";
import { AttributesNetwork, attributesFeatures } from "../features/attributes.ts";
import { type FeatureNetwork, perceptualDistance } from "../features/network.ts";
import { VGG16_SHAPES, vgg16 } from "../features/vgg.ts";
import { axesOf, type Sides } from "../models/autoencoder.ts";
import { VqAutoencoder } from "../models/iqvae.ts";
import { type TokenShape, Transformer, type TransformerConfig } from "../models/transformer.ts";
import { createRegularizer } from "../regularizer/index.ts";
import { AdversarialLoss } from "../stage1/adversarial.ts";
import type { Planned } from "./planned.ts";

/** A network with made-up data and weights: what a training step does to it, without a data set. */
export interface Trial {
  /** Forward and backward; gradients are left. A discriminator takes its whole turn. */
  pass(): void;
  /** What the optimizer does with them. */
  update(): void;
  dispose(): void;
}

type Cast = <T>(body: () => T) => T;

/** What a part of stage 1 made of its planes. */
interface Outcome {
  readonly loss: Tensor;
  readonly unit: Tensor;
  readonly real: Tensor;
  readonly reconstruction: Tensor;
}

/** Stage 1 with all of its losses, the discriminator joined: both halves, or the one that there is. */
export function stage1Trial(planned: Planned, batch: number): Trial {
  const { condition, size, perceptual, adversarial, regularizer, precision } = planned;
  const cast: Cast = (body) => (precision === "bfloat16" ? autocast({ dtype: "bfloat16" }, body) : body());
  const image = new VqAutoencoder(3, 3, planned.image);
  const other = condition.kind === "planes" ? { ...condition, model: conditionHalf(condition) } : null;
  const look = perceptual === null ? null : madeUpNetwork(perceptual);
  const adversary = adversarial === null ? null : new AdversarialLoss(adversarial);
  const measure = regularizer.estimator === "none" ? null : createRegularizer(regularizer);

  const forward = () => {
    const picture = outcomeOf(image, { inputs: 3, outputs: 3, size: [size, size] }, batch, cast);
    const { real, reconstruction } = picture;
    const seen = look && cast(() => perceptualDistance(look.network, reconstruction, real).mean());
    const ofPicture = seen ? picture.loss.add(seen) : picture.loss;
    if (other === null) return { loss: ofPicture, real, reconstruction, ofPicture };
    const second = outcomeOf(other.model, other, batch, cast);
    const both = ofPicture.add(second.loss);
    const loss = measure === null ? both : both.add(measure(picture.unit, second.unit));
    return { loss, real, reconstruction, ofPicture };
  };
  const last = image.decoder.head.weight;
  const trial = trialOf(other === null ? [image] : [image, other.model], () => {
    const { loss, real, reconstruction, ofPicture } = scope(forward);
    if (adversary === null) return loss;
    const verdict = scope(() => adversary.compute({ real, reconstruction, loss: ofPicture, last }, 1, cast));
    return loss.add(verdict.term);
  });
  return {
    ...trial,
    dispose: () => {
      trial.dispose();
      for (const tensor of [...(look?.weights ?? []), ...(adversary?.tensors().values() ?? [])]) tensor.dispose();
    },
  };
}

function outcomeOf(
  model: VqAutoencoder,
  { inputs, outputs, size }: { readonly inputs: number; readonly outputs: number; readonly size: Sides },
  batch: number,
  cast: Cast,
): Outcome {
  const planes = (channels: number) => ops.aten.rand([batch, ...size, channels]).permute([0, 3, 1, 2]);
  const real = planes(outputs);
  const { reconstruction: made, quantized } = cast(() => model.forward(planes(inputs), "use"));
  const reconstruction = made.to("float32");
  const loss = ops.aten.l1_loss(reconstruction, real).add(quantized.commitment);
  return { loss, unit: quantized.unit, real, reconstruction };
}

/** A network of the perceptual term with random weights, which cost what others do. */
function madeUpNetwork(kind: NonNullable<Planned["perceptual"]>): { network: FeatureNetwork; weights: Tensor[] } {
  const digest = "0".repeat(64);
  if (kind === "attributes") {
    const made = new AttributesNetwork([], 2);
    return { network: attributesFeatures(made, kind, digest), weights: [...made.stateDict().values()] };
  }
  const tensors = unscoped(() => new Map([...VGG16_SHAPES].map(([name, shape]) => [name, randomWeight(shape)])));
  return { network: vgg16({ tensors, metadata: {}, digest }), weights: [...tensors.values()] };
}

function randomWeight(shape: readonly number[]): Tensor {
  const fanIn = shape.slice(1).reduce((product, side) => product * side, 1);
  const bound = Math.sqrt(6 / fanIn);
  const layout = shape.length === 4 ? ({ memory_format: "channels_last" } as const) : {};
  return noGrad(() => ops.aten.empty([...shape], layout).uniform_(-bound, bound));
}

/** The half of the condition, for planes or sequences. */
export function conditionHalf({
  inputs,
  outputs,
  model,
  size,
}: Extract<Planned["condition"], { kind: "planes" }>): VqAutoencoder {
  return new VqAutoencoder(inputs, outputs, model, axesOf(size));
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
  const loss = () => {
    const images = random(tokens.imageCodes, tokens.imageTokens);
    const condition = random(tokens.conditionCodes, tokens.conditionTokens);
    const logits = model.forward(condition, images.slice(1, 0, tokens.imageTokens - 1), { training: true });
    return ops.aten.cross_entropy_loss(logits.flatten(0, 1).to("float32"), images.flatten());
  };
  return trialOf([model], () =>
    scope(() => (precision === "bfloat16" ? autocast({ dtype: "bfloat16" }, loss) : loss())),
  );
}

function trialOf(parts: readonly Module[], loss: () => Tensor): Trial {
  const parameters = new Map(
    parts.flatMap((part, i) => [...part.namedParameters()].map(([name, value]) => [`${i}.${name}`, value] as const)),
  );
  const optimizer = new AdamW(parameters);
  return {
    pass: () =>
      scope(() => {
        optimizer.zeroGrad();
        loss().backward();
      }),
    update: () => scope(() => optimizer.step(1e-4)),
    dispose: () => {
      optimizer.zeroGrad();
      for (const tensor of optimizer.tensors().values()) tensor.dispose();
      for (const part of parts) for (const tensor of part.stateDict().values()) tensor.dispose();
    },
  };
}
