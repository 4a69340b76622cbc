import {
  autocast,
  buffer,
  type Generator,
  Linear,
  Module,
  noGrad,
  ops,
  scope,
  type Tensor,
  unscoped,
} from "@iqvae/torch";

export interface QuantizerConfig {
  /** Number of codes, `K`. */
  readonly codes: number;
  /** Dimensions of a code; low-dimensional codes are used more evenly (Yu et al. 2022, ViT-VQGAN, § 3.2). */
  readonly codeDim: number;
}

/**
 * `learn` updates the codebook, `use` leaves it. `bypass` hands the unit vectors on as they are: codes placed among features
 * that have yet to learn anything are left behind by them, and most die.
 */
export type QuantizerMode = "bypass" | "learn" | "use";

export interface Quantized {
  /** Straight-through codes `[B·h·w, codeDim]`: the code forward, the identity backward. */
  readonly codes: Tensor;
  /** The same as features for the decoder, `[B, d, h, w]`. */
  readonly output: Tensor;
  /** Unit vectors before quantization, `[B, codeDim, h, w]`, float32. */
  readonly unit: Tensor;
  /** Code numbers, int64 `[B, h, w]`. */
  readonly indices: Tensor;
  /** Mean of `‖z − sg(e)‖²` over vectors, unweighted. */
  readonly commitment: Tensor;
}

/** The processes whose vectors a codebook follows together. */
export interface QuantizerPeers {
  readonly rank: number;
  readonly size: number;
  /** Random numbers that are the same on all ranks. */
  readonly shared: Generator;
  /** Replaces tensors by their sum over all ranks. */
  sum(tensors: readonly Tensor[]): void;
}

/** What the vectors of a batch do to a codebook. */
interface Batch {
  /** How many vectors each code got, `[K]`, and their sums, `[K, codeDim]`. */
  readonly counts: Tensor;
  readonly sums: Tensor;
  /** A vector for each code that would be dead, `[K, codeDim]`. */
  readonly fresh: Tensor;
}

/** γ of the running codebook. */
const DECAY = 0.98;
/** A code is dead when its running count falls below this share of the mean. */
const DEAD_BELOW = 0.1;
const KMEANS_ROUNDS = 8;

/**
 * Vector quantization on the unit sphere (van den Oord et al. 2017, eq. 1 – 3, with the EMA codebook of its appendix A.1):
 * features are projected to `codeDim` dimensions and normalized, the nearest code is that of the largest cosine. Codes follow
 * the running mean of their vectors, `n ← γn + (1−γ)n_b`, `m ← γm + (1−γ)Σz`, `e = m/‖m‖`: on the sphere the division by
 * n is a scale that normalization removes.
 */
export class Quantizer extends Module {
  readonly codes: number;
  readonly down: Linear;
  readonly up: Linear;
  /** Unit codes `[K, codeDim]`. */
  readonly codebook: Tensor;
  readonly counts: Tensor;
  readonly sums: Tensor;
  /** 1 once k-means has placed the codes. */
  readonly placed: Tensor;
  #peers: QuantizerPeers | undefined;
  /** What this rank's vectors would do, until all have added theirs; and the number of vectors of all. */
  #pending: (Batch & { vectors: number }) | undefined;

  constructor(width: number, config: QuantizerConfig) {
    super();
    const { codes, codeDim } = config;
    this.codes = codes;
    this.down = new Linear(width, codeDim);
    this.up = new Linear(codeDim, width);
    this.codebook = buffer(() => unitRows(ops.aten.randn([codes, codeDim])));
    this.counts = buffer(() => ops.aten.zeros([codes]));
    this.sums = buffer(() => this.codebook.clone());
    this.placed = buffer(() => ops.aten.zeros([1]));
  }

  /**
   * From now on the codebook follows the vectors of all ranks, when it is told to: `learn` leaves what this rank adds in
   * {@link pending}, whose mean over all ranks {@link settle} takes in. So it can travel with the gradients.
   */
  joinPeers(peers: QuantizerPeers): void {
    this.#peers = peers;
  }

  /** What is to be replaced by its mean over all ranks before {@link settle}; nothing where no forward pass was to learn. */
  get pending(): readonly Tensor[] {
    return this.#pending === undefined ? [] : [this.#pending.counts, this.#pending.sums, this.#pending.fresh];
  }

  /** Takes {@link pending} in. */
  settle(): void {
    const [pending, peers] = [this.#pending, this.#peers];
    if (pending === undefined || peers === undefined) return;
    const { counts, sums, fresh, vectors } = pending;
    noGrad(() =>
      scope(() =>
        this.#follow(
          { counts: counts.mul(peers.size), sums: sums.mul(peers.size), fresh: fresh.mul(peers.size) },
          vectors,
        ),
      ),
    );
    this.forget();
  }

  /** Lets go of {@link pending}: of a step that did not come to its end. */
  forget(): void {
    for (const tensor of this.pending) tensor.dispose();
    this.#pending = undefined;
  }

  /** Features `[B, d, h, w]` → codes and what the losses need. */
  forward(features: Tensor, mode: QuantizerMode): Quantized {
    const learn = mode === "learn";
    const [B, , h, w] = features.shape as [number, number, number, number];
    const unit = this.project(features); // [N, codeDim]
    if (learn) scope(() => noGrad(() => this.#place(unit)));
    const indices = this.nearest(unit);
    const chosen = this.codebook.index_select(0, indices);
    if (learn) scope(() => noGrad(() => this.#learn(unit.detach(), indices)));
    const commitment = unit.sub(chosen).square().sum([-1]).mean();
    const through = mode === "bypass" ? unit : unit.add(chosen.sub(unit).detach());
    return {
      codes: through,
      output: this.#expand(through, B, h, w),
      unit: unit.reshape([B, h, w, -1]).permute([0, 3, 1, 2]),
      indices: indices.reshape([B, h, w]),
      commitment: mode === "bypass" ? commitment.mul(0) : commitment,
    };
  }

  /** Features `[B, d, h, w]` → unit vectors `[B·h·w, codeDim]` in float32, whatever the surrounding precision. */
  project(features: Tensor): Tensor {
    const d = features.shape[1]!;
    return unitRows(this.down.forward(features.permute([0, 2, 3, 1]).reshape([-1, d])).to("float32"));
  }

  /** The number of the nearest code of each unit vector, int64 `[N]`. */
  nearest(unit: Tensor): Tensor {
    // Outside autocast: in bfloat16 near codes would tie. In a scope, since the cosines, [N, K], are large.
    return scope(() =>
      autocast({ enabled: false, device: unit.device.split(":")[0]! }, () =>
        noGrad(() => ops.aten.mm(unit.detach(), this.codebook.t()).argmax(-1)),
      ),
    );
  }

  /** Code numbers int64 `[B, h, w]` → codes `[B·h·w, codeDim]`. */
  codesOf(indices: Tensor): Tensor {
    return this.codebook.index_select(0, indices.reshape([-1]));
  }

  /** Code numbers int64 `[B, h, w]` → features `[B, d, h, w]` for the decoder. */
  lookup(indices: Tensor): Tensor {
    const [B, h, w] = indices.shape as [number, number, number];
    return this.#expand(this.codesOf(indices), B, h, w);
  }

  #expand(vectors: Tensor, B: number, h: number, w: number): Tensor {
    return this.up.forward(vectors).reshape([B, h, w, -1]).permute([0, 3, 1, 2]);
  }

  /** Spherical k-means on the first batch (Łańcucki et al. 2020 place codes so). */
  #place(unit: Tensor): void {
    if (this.placed.item() === 1) return;
    const peers = this.#peers;
    const N = unit.shape[0]! * (peers?.size ?? 1);
    const order =
      peers === undefined ? ops.aten.randperm(N) : sharedNumbers(peers, (from) => ops.aten.randperm(N, from), unit);
    const picked = order.repeat([Math.ceil(this.codes / N)]).slice(0, 0, this.codes);
    const first = peers === undefined ? unit.index_select(0, picked) : ownRows(unit, picked, peers);
    peers?.sum([first]);
    this.codebook.copy_(first);
    for (let round = 0; round < KMEANS_ROUNDS; round++) {
      const { counts, sums } = gather(unit, this.nearest(unit), this.codes);
      peers?.sum([counts, sums]);
      const filled = counts.gt(0).unsqueeze(-1);
      this.codebook.copy_(ops.aten.where(filled, unitRows(sums), this.codebook));
    }
    this.counts.fill_(N / this.codes);
    this.sums.copy_(this.codebook.mul(N / this.codes));
    this.placed.fill_(1);
  }

  #learn(unit: Tensor, indices: Tensor): void {
    const { counts, sums } = gather(unit, indices, this.codes);
    const [peers, K] = [this.#peers, this.codes];
    const N = unit.shape[0]! * (peers?.size ?? 1);
    if (peers === undefined) {
      this.#follow({ counts, sums, fresh: unit.index_select(0, ops.aten.randint(N, [K])) }, N);
      return;
    }
    // All ranks pick the same, and whose vector it is adds it.
    const picked = sharedNumbers(peers, (from) => ops.aten.randint(N, [K], from), unit);
    const fresh = ownRows(unit, picked, peers);
    this.forget();
    const [a, b, c] = unscoped(() => [counts, sums, fresh].map((one) => one.clone())) as [Tensor, Tensor, Tensor];
    this.#pending = { counts: a, sums: b, fresh: c, vectors: N };
  }

  /** @param N how many vectors there were */
  #follow({ counts, sums, fresh }: Batch, N: number): void {
    this.counts.mul_(DECAY).add_(counts, { alpha: 1 - DECAY });
    this.sums.mul_(DECAY).add_(sums, { alpha: 1 - DECAY });
    // A dead code moves to a vector of this batch with the mean count, so that it has time to win others.
    const mean = N / this.codes;
    const dead = this.counts.lt(DEAD_BELOW * mean);
    this.sums.copy_(ops.aten.where(dead.unsqueeze(-1), fresh.mul(mean), this.sums));
    this.counts.masked_fill_(dead, mean);
    this.codebook.copy_(unitRows(this.sums));
  }
}

/** Numbers that all ranks draw alike, on the device of `like`. */
function sharedNumbers(
  { shared }: QuantizerPeers,
  draw: (from: { generator: Generator; device: string }) => Tensor,
  like: Tensor,
): Tensor {
  return draw({ generator: shared, device: shared.device }).to({ device: like.device });
}

/** Rows of the vectors of all ranks, where this one has them, and zeros for those of others. */
function ownRows(unit: Tensor, rows: Tensor, { rank }: QuantizerPeers): Tensor {
  const n = unit.shape[0]!;
  const own = rows.sub(rank * n);
  const mine = own.ge(0).logical_and(own.lt(n)).unsqueeze(-1);
  return ops.aten.where(mine, unit.index_select(0, own.clamp(0, n - 1)), ops.aten.zeros([], { device: unit.device }));
}

/** How many vectors each code got, `[K]`, and their sums, `[K, codeDim]`. */
function gather(unit: Tensor, indices: Tensor, codes: number): { counts: Tensor; sums: Tensor } {
  const [N, width] = unit.shape as [number, number];
  const counts = ops.aten.bincount(indices, null, codes).to("float32");
  const sums = ops.aten
    .zeros([codes, width], { device: unit.device })
    .scatter_add(0, indices.unsqueeze(-1).expand([N, width]), unit.detach());
  return { counts, sums };
}

function unitRows(x: Tensor): Tensor {
  return x.div(ops.aten.linalg_vector_norm(x, 2, [-1], true).clamp_min(1e-6));
}

/** Adds to the entry of each code how often it comes up. @param codes int64 of any shape */
export function countCodes(codes: Tensor, counts: Float64Array): void {
  for (const code of codes.read("int64")) counts[Number(code)]! += 1;
}

/** Share of the codes that are counted at all, and the exponential of the entropy of their shares; both fall when a codebook collapses. */
export function usageOf(counts: ArrayLike<number>): { active: number; perplexity: number } {
  let total = 0;
  let active = 0;
  for (let i = 0; i < counts.length; i++) {
    total += counts[i]!;
    if (counts[i]! > 0) active++;
  }
  let entropy = 0;
  for (let i = 0; i < counts.length; i++) {
    const share = counts[i]! / Math.max(total, 1e-12);
    if (share > 0) entropy -= share * Math.log(share);
  }
  return { active: active / counts.length, perplexity: Math.exp(entropy) };
}
