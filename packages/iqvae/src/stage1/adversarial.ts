import { AdamW, type GradientBuckets, grad, noGrad, ops, type Tensor } from "@iqvae/torch";
import { Discriminator } from "../models/discriminator.ts";
import type { Peers } from "../support/peers.ts";
import { below, prefixed } from "../support/tensor-names.ts";
import type { AdversarialConfig } from "./config.ts";

/** What an {@link AdversarialLoss} said of a batch. All scalars. */
export interface AdversarialTerm {
  /**
   * To be added to the loss of the auto-encoder. Its gradient is that of `weight · λ · L_adv`; its value means nothing,
   * see {@link AdversarialLoss.oppose}.
   */
  readonly term: Tensor;
  readonly parts: Readonly<Record<"adversarialLoss" | "adversarialWeight" | "discriminatorLoss", Tensor>>;
}

/** Adam's, as VQGAN has them. */
const BETAS = [0.5, 0.9] as const;
const MOST_WEIGHT = 1e4;
const GUARD = 1e-4;

/** The discriminator's hinge loss, `½ (mean max(0, 1 − D(x)) + mean max(0, 1 + D(x̂)))` (Lim & Ye 2017; VQGAN). */
export function hingeLoss(real: Tensor, fake: Tensor): Tensor {
  return ops.aten
    .relu(real.neg().add(1))
    .mean()
    .add(ops.aten.relu(fake.add(1)).mean())
    .mul(0.5);
}

/**
 * VQGAN's adaptive weight, `λ = ‖∇_last L_rec‖ / (‖∇_last L_adv‖ + 1e-4)` in `[0, 1e4]` (Esser et al. 2021, eq. 7): the
 * discriminator pulls at the decoder's last layer as hard as the reconstruction does.
 */
export function adaptiveWeight(reconstruction: Tensor, adversarial: Tensor): Tensor {
  return noGrad(() => {
    const ratio = reconstruction.norm().div(adversarial.norm().add(GUARD));
    return ratio.clamp(0, MOST_WEIGHT);
  });
}

/** A patch discriminator, its optimizer, and what the auto-encoder has to fear from it. */
export class AdversarialLoss {
  readonly #config: AdversarialConfig;
  readonly #discriminator: Discriminator;
  readonly #optimizer: AdamW;
  #steps = 0;
  readonly #peers: Pick<Peers, "mean"> | undefined;
  readonly #gradients: GradientBuckets | undefined;

  /**
   * Weights are drawn from the default random generator.
   *
   * @param peers with them the adaptive weight, and what is learned, are those of the batch of all
   */
  constructor(config: AdversarialConfig, peers?: Pick<Peers, "mean" | "gradientsOf">) {
    this.#config = config;
    this.#peers = peers;
    this.#discriminator = new Discriminator(config);
    this.#gradients = peers?.gradientsOf(this.#discriminator.namedParameters().values());
    this.#optimizer = new AdamW(this.#discriminator.namedParameters(), { betas: BETAS, weightDecay: 0 });
  }

  /** Whether it takes part in step `step` (from 0) of `steps`. Once it did, it goes on, also where steps were added since. */
  isActive(step: number, steps: number): boolean {
    return this.#steps > 0 || step >= Math.floor(this.#config.startShare * steps);
  }

  /**
   * One turn: judges a batch, says what the auto-encoder is to change, and what it would learn from the batch itself; {@link learn} then
   * does so.
   *
   * The discriminator is differentiated once for both of its uses: its gradient `γ = ∂L_adv/∂x̂` stops at the
   * picture, from where the adaptive weight needs the decoder's last layer only. The term `⟨x̂, weight·λ·γ⟩`, with a constant
   * right side, then has the gradient of `weight·λ·L_adv`.
   *
   * @param batch `real` and `reconstruction` float32 `[B, 3, H, W]` in [−1, 1]; `loss`, all that the reconstruction costs
   *   (L_rec), and `last`, the weight of the decoder's last layer
   * @param cast how to compute, for instance under autocast
   */
  compute(
    { real, reconstruction, loss, last }: { real: Tensor; reconstruction: Tensor; loss: Tensor; last: Tensor },
    cast: <T>(body: () => T) => T,
  ): AdversarialTerm {
    const fake = reconstruction.detach();
    fake.requiresGrad = true;
    const fakeLogits = this.#judge(fake, cast);
    const adversarialLoss = fakeLogits.mean().neg();
    const [pull] = grad([adversarialLoss], [fake], { retainGraph: true });
    const [ofAdversary] = grad([reconstruction], [last], { gradients: [pull!], retainGraph: true });
    const [ofReconstruction] = grad([loss], [last], { retainGraph: true });
    this.#peers?.mean([ofReconstruction!, ofAdversary!]);
    const weight = adaptiveWeight(ofReconstruction!, ofAdversary!).mul(this.#config.weight);

    const discriminatorLoss = hingeLoss(this.#judge(real, cast), fakeLogits);
    this.#optimizer.zeroGrad();
    this.#gradients?.arm();
    discriminatorLoss.backward();

    return {
      term: reconstruction.mul(pull!.mul(weight)).sum(),
      parts: {
        adversarialLoss: adversarialLoss.detach(),
        adversarialWeight: weight,
        discriminatorLoss: discriminatorLoss.detach(),
      },
    };
  }

  /** Learns from the turn; a turn that loses another process has not happened. @param schedule what the discriminator's peak rate is multiplied with */
  learn(schedule: number): void {
    this.#gradients?.finish();
    this.#optimizer.lr = this.#config.rate * schedule;
    this.#optimizer.step();
    this.#steps += 1;
  }

  #judge(planes: Tensor, cast: <T>(body: () => T) => T): Tensor {
    return cast(() => this.#discriminator.forward(planes)).to("float32");
  }

  /** All that a resumption needs. */
  tensors(): Map<string, Tensor> {
    return new Map([
      ...prefixed("discriminator.", this.#discriminator.stateDict()),
      ...prefixed("discriminatorOptimizer.", this.#optimizer.stateDict()),
    ]);
  }

  get steps(): number {
    return this.#steps;
  }

  restore(tensors: ReadonlyMap<string, Tensor>, steps: number): void {
    this.#discriminator.loadStateDict(below("discriminator.", tensors));
    this.#optimizer.loadStateDict(below("discriminatorOptimizer.", tensors));
    this.#steps = steps;
  }
}
