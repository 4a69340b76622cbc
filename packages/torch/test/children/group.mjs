// One rank of a group of processes; the first argument says what it does. It prints JSON lines.
import fs from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import * as torch from "@iqvae/torch";

const { allGather, allReduce, allReduceMean, barrier, broadcast, ops, tensor } = torch;
const say = (value) => console.log(JSON.stringify(value));
/** Pieces of memory that several processes have mapped. */
const shared = () => fs.readFileSync("/proc/self/maps", "utf8").split("/memfd:iqvae").length - 1;
const numbers = (x) => Array.from(x.to("float32").read("float32"));
const [, , scenario, seconds = "60", folder, count] = process.argv;
const timeout = Number(seconds);

const scenarios = {
  values({ rank, size }) {
    const sum = tensor([1, 2, 3]).mul(rank + 1);
    // Not contiguous, a whole number, a flag, a scalar, and nothing.
    const turned = tensor([
      [1, 2],
      [3, 4],
    ])
      .mul(rank + 1)
      .t();
    const whole = tensor([rank, 1], { dtype: "int64" });
    const scalar = tensor(rank + 0.5);
    const none = ops.aten.zeros([0]);
    allReduce([sum, turned, whole, scalar, none]);
    allReduceMean(scalar); // alike on all ranks by now
    const [least, most] = [tensor([rank, -rank]), tensor([rank, -rank])];
    allReduce(least, "min");
    allReduce(most, "max");
    const sent = [
      tensor([rank, 10 * rank]),
      tensor([
        [rank, 0],
        [0, 1],
      ]).t(),
      tensor([rank]).eq(1),
    ];
    broadcast(sent, 1);
    const gathered = allGather(tensor([[rank, 7]])).map(numbers);
    const gone = tensor([1]);
    gone.dispose();
    const misused = [
      () => allReduce(tensor([1]).eq(1)),
      () => allReduce(new Map([["sum", sum]])),
      () => allReduce(sum, 1),
      () => broadcast([gone]),
    ].map((call) => {
      try {
        return call();
      } catch ({ name, message }) {
        return `${name}: ${message}`;
      }
    });
    let refused = "";
    try {
      torch.inferenceMode(() => allReduce(tensor([1])));
    } catch ({ message }) {
      refused = message;
    }
    barrier();
    say({
      refused,
      sum: numbers(sum),
      turned: numbers(turned),
      whole: numbers(whole),
      scalar: numbers(scalar),
      least: numbers(least),
    });
    say({ misused });
    say({ most: numbers(most), sent: sent.map(numbers), gathered, size });
  },

  async all(group) {
    for (const name of ["values", "mean", "buckets", "store"]) await scenarios[name](group);
    scenarios.unlike(group);
  },

  /** Means of many tensors, in other memory layouts, too; bits are printed as a hash of the bytes. */
  mean({ rank }) {
    torch.manualSeed(rank + 1);
    const list = [
      ops.aten.randn([5, 3]),
      ops.aten.randn([2, 3, 4, 4]).contiguous({ memory_format: "channels_last" }),
      ops.aten.randn([6, 8]).slice(1, 0, 6, 2),
      ops.aten.randn([]),
    ];
    const before = list.map(numbers);
    const again = list.map((x) => x.clone());
    allReduceMean(list);
    allReduceMean(again);
    say({ before, after: list.map(numbers), again: again.map(numbers) });
  },

  /** Gradients by buckets, of one and of several, beside those that are reduced one by one. */
  buckets({ rank }) {
    torch.manualSeed(rank + 1);
    const made = [
      ops.aten.zeros([5, 3]),
      ops.aten.zeros([2, 3, 4, 4]).contiguous({ memory_format: "channels_last" }),
      ops.aten.zeros([]),
      ops.aten.zeros([40]),
    ];
    const [parameters, unused] = [made, ops.aten.zeros([3])];
    for (const one of [...parameters, unused]) one.requiresGrad = true;
    const factors = parameters.map((one) => ops.aten.randn(one.shape));
    const backward = () => {
      const terms = parameters.map((one, i) => one.mul(factors[i]).sum());
      ops.aten.stack(terms).sum().backward();
    };
    const clear = () => {
      for (const one of parameters) one.grad = undefined;
    };
    const gradients = () => parameters.map(({ grad }) => grad);
    backward();
    const plain = gradients().map((one) => one.clone());
    allReduceMean(plain);
    const reduced = [];
    for (const bytes of [2 ** 20, 100]) {
      const buckets = new torch.GradientBuckets([...parameters, unused], { bytes });
      for (const passes of [1, 1, 2]) {
        clear();
        for (let pass = passes; pass > 0; pass--) {
          if (pass === 1) buckets.arm();
          backward();
        }
        buckets.finish();
        reduced.push(gradients().map(numbers));
      }
      buckets.dispose();
    }
    const alike = gradients().every(({ strides }, i) => String(strides) === String(parameters[i].strides));
    clear();
    backward();
    const own = gradients().map(numbers);
    say({ plain: plain.map(numbers), reduced, alike, none: unused.grad === undefined });
    say({ factors: factors.map(numbers), own });

    const failures = [];
    const unlike = new torch.GradientBuckets(parameters);
    for (const broken of [
      () => unlike.finish(),
      () => {
        unlike.arm();
        (rank === 0 ? parameters[0] : parameters[3]).sum().backward();
        unlike.finish();
      },
    ])
      try {
        broken();
      } catch ({ name, message }) {
        failures.push({ name, message });
      }
    say({ failures });
  },

  unlike({ rank }) {
    allReduceMean(rank === 0 ? [ops.aten.ones([2, 3])] : [ops.aten.ones([3, 2])]);
  },

  /** Pieces of shared memory: at first, with buckets, and after them. The gradient of each step tells whether they are right. */
  memory({ sharedMemory }) {
    const pieces = [shared()];
    const weight = ops.aten.ones([4_000_000]);
    weight.requiresGrad = true;
    const buckets = new torch.GradientBuckets([weight]);
    const steps = [1, 2].map((factor) =>
      torch.scope(() => {
        weight.grad = undefined;
        buckets.arm();
        weight.mul(factor).sum().backward();
        buckets.finish();
        return [weight.grad.amin().item(), weight.grad.amax().item()];
      }),
    );
    pieces.push(shared());
    buckets.dispose();
    weight.grad = undefined;
    barrier();
    say({ sharedMemory, pieces: [...pieces, shared()], steps });
  },

  /**
   * Sums as long as several pieces of what is added up at once, many of them, one right after the other: a rank that has its sum begins the next
   * while others still read.
   */
  long({ rank, size }) {
    const lengths = [300_000, 131_072, 1, 131_073, 60_000];
    const rows = lengths.map((length) => ops.aten.arange(length, { dtype: "float32" }));
    const wrong = [];
    for (let i = 0; i < 300; i++) {
      const which = i % lengths.length;
      torch.scope(() => {
        const row = rows[which].add(rank + i);
        allReduce(row);
        if (!row.equal(rows[which].mul(size).add(size * i + (size * (size - 1)) / 2))) wrong.push(i);
      });
    }
    say({ wrong });
  },

  /** The last rank leaves, the others go on. */
  left({ rank, size }) {
    allReduce(tensor([1]));
    if (rank === size - 1) {
      torch.destroyProcessGroup();
      return until(() => fs.existsSync(`${folder}/over`));
    }
    try {
      barrier();
    } catch ({ name, message }) {
      say({ name, message });
    }
    fs.writeFileSync(`${folder}/over`, "");
  },

  /** The last rank is lost, the others go on to reduce. */
  lost({ rank, size }) {
    const reduce = () => allReduce(ops.aten.ones([100_000]));
    loseLast(rank, size, reduce);
  },

  /** The same, of those that train. */
  lostInStep({ rank, size }) {
    const weight = ops.aten.ones([100_000]);
    weight.requiresGrad = true;
    const buckets = new torch.GradientBuckets([weight]);
    loseLast(rank, size, () => {
      buckets.arm();
      weight.sum().backward();
      buckets.finish();
    });
  },

  async hung({ rank }) {
    allReduce(tensor([1]));
    const over = `${folder}/over`;
    if (rank === 1) return await until(() => fs.existsSync(over));
    const began = performance.now();
    try {
      allReduce(tensor([1]));
    } catch (error) {
      say({ name: error.name, message: error.message, seconds: (performance.now() - began) / 1000 });
    }
    torch.destroyProcessGroup();
    fs.writeFileSync(over, "");
  },

  async store({ rank }) {
    if (rank === 1) {
      torch.storeSet("greeting", "grüß dich, 世界");
      barrier();
    } else {
      // What joining takes has names of its own.
      const absent = torch.storeGet("absent") ?? torch.storeGet("route/0") ?? "nothing";
      barrier();
      say({ absent, greeting: torch.storeGet("greeting") });
    }
  },

  twice(first) {
    barrier();
    torch.destroyProcessGroup();
    const second = torch.initProcessGroup({ timeout, launch: { ...first, port: first.port + 1 } });
    const x = tensor([second.rank]);
    allReduce(x);
    say(numbers(x));
  },

  thrown() {
    barrier();
    throw new Error("not caught");
  },

  async join() {
    await new Promise((done) => process.stdin.once("end", done).resume());
  },
};

/** The last rank is killed after what all do at first; what the others do then says why it cannot go on. */
function loseLast(rank, size, together) {
  together();
  if (rank === size - 1) {
    say({ at: Date.now() });
    process.kill(process.pid, "SIGKILL");
  }
  try {
    for (;;) together();
  } catch (error) {
    say({ name: error.name, message: error.message, at: Date.now() });
  }
  // What is broken stays so, and says it at once.
  try {
    barrier();
  } catch (error) {
    say({ name: error.name, message: error.message });
  }
}

/** For ten minutes at most: nobody waits for a test that has failed. */
async function until(is) {
  for (let i = 0; i < 60_000 && !is(); i++) await delay(10);
}

/** Until as many processes as that have come: they load libtorch at speeds of their own. */
async function together() {
  tensor([1]).dispose();
  fs.writeFileSync(`${folder}/${process.pid}`, "");
  await until(() => fs.readdirSync(folder).length >= Number(count));
}

if (folder !== undefined) await together();
const began = performance.now();
try {
  const group = torch.initProcessGroup({ timeout });
  await scenarios[scenario](group);
} catch (error) {
  if (scenario === "thrown") throw error;
  say({ name: error.name, message: error.message, seconds: (performance.now() - began) / 1000 });
  process.exitCode = 1;
}
