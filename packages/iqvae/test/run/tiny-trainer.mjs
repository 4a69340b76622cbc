import { AdamW, Linear, manualSeed, ops, tensor, unscoped } from "@iqvae/torch";

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
    this.optimizer = new AdamW(this.parameters);
  }

  step(indices) {
    const loss = this.#loss(indices, true);
    this.optimizer.zeroGrad();
    loss.backward();
    this.optimizer.step(0.01 / (1 + this.#steps));
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
    return new Map([...this.parameters, ...this.optimizer.tensors()]);
  }

  state() {
    return { steps: this.#steps };
  }

  restore(tensors, state) {
    for (const [name, parameter] of this.parameters) parameter.detach().copy_(tensors.get(name));
    this.optimizer.restore(tensors, state.steps);
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
