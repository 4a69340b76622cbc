import { AdamW, decayMatrices, Linear, manualSeed, ops, tensor, unscoped } from "@iqvae/torch";

/** How many rows the random data have. */
export const ROWS = 40;

/**
 * A network with dropout that learns random numbers: small, and yet with all that a resumption can get wrong (weights,
 * moments, step counter, random generator, order of rows). Parsed by Node.js as it is, for child processes.
 */
export class TinyTrainer {
  #inputs = random([ROWS, 6], 1);
  #targets = random([ROWS, 2], 2);
  #steps = 0;

  constructor() {
    this.first = unscoped(() => new Linear(6, 16));
    this.second = unscoped(() => new Linear(16, 2));
    this.parameters = new Map([
      ...[...this.first.namedParameters()].map(([name, value]) => [`first.${name}`, value]),
      ...[...this.second.namedParameters()].map(([name, value]) => [`second.${name}`, value]),
    ]);
    this.optimizer = new AdamW(decayMatrices(this.parameters, 0.01));
  }

  step(indices) {
    const loss = this.#loss(indices, true);
    this.optimizer.zeroGrad();
    loss.backward();
    this.optimizer.lr = 0.01 / (1 + this.#steps);
    this.optimizer.step();
    this.#steps++;
    return { loss: loss.item(), steps: this.#steps };
  }

  #loss(indices, training) {
    const rows = tensor(BigInt64Array.from(indices, BigInt));
    const hidden = this.first.forward(this.#inputs.index_select(0, rows)).relu();
    const dropped = ops.aten.dropout(hidden, 0.3, training);
    return this.second.forward(dropped).sub(this.#targets.index_select(0, rows)).square().mean();
  }

  tensors() {
    const moments = [...this.optimizer.stateDict()].map(([name, value]) => [`optimizer.${name}`, value]);
    return new Map([...this.parameters, ...moments]);
  }

  state() {
    return { steps: this.#steps };
  }

  restore(tensors, state) {
    for (const [name, parameter] of this.parameters) parameter.detach().copy_(tensors.get(name));
    const moments = [...tensors].filter(([name]) => name.startsWith("optimizer."));
    this.optimizer.loadStateDict(new Map(moments.map(([name, value]) => [name.slice("optimizer.".length), value])));
    this.#steps = state.steps;
  }

  evaluate() {
    // Uses random numbers, so that a loop that does not guard its generator is found out.
    return {
      loss: this.#loss(
        Array.from({ length: 8 }, (_, i) => i),
        true,
      ).item(),
    };
  }
}

function random(shape, seed) {
  manualSeed(seed);
  return unscoped(() => ops.aten.randn(shape));
}
