// NCCL with a group of one, the most that one GPU allows: every collective and the buckets of gradients, which must change nothing.
import { callOperator, grad, groupBackends, manualSeed, ops } from "@iqvae/torch";
import { native } from "../../packages/torch/dist/native.js";
import { check, device, expectNear, figure, finish, on, secondsOf } from "./report.mjs";

const nccl = groupBackends().includes("nccl");
// A group of one needs no messages, so that `initProcessGroup` would open nothing.
const joined = check(`joins a group by ${nccl ? "NCCL" : "Gloo, as the addon was built without NCCL"}`, () =>
  native.joinGroup("127.0.0.1", 29517, 0, 1, "check", 60_000, "127.0.0.1", nccl),
);

const numbers = (count) => {
  manualSeed(count);
  return ops.aten.randn([count]);
};
/** Runs a collective on numbers of the device, which must be as they were. */
const keeps = (name, run) =>
  check(name, () =>
    on(device, () => {
      const values = [numbers(1000), numbers(17).to("float64")];
      const before = values.map((value) => value.clone());
      const after = run(values) ?? values;
      return { apart: Math.max(...after.map((value, i) => expectNear(name, value, before[i], 0))) };
    }),
  );
if (joined) {
  for (const op of ["sum", "min", "max"])
    keeps(`all_reduce_, ${op}`, (values) => callOperator("group::all_reduce_", values, op));
  keeps("all_reduce_flat_", (values) => {
    callOperator("group::all_reduce_flat_", [values[0]], 1);
  });
  keeps("broadcast_", (values) => callOperator("group::broadcast_", values, 0));
  keeps("all_gather", ([values]) => callOperator("group::all_gather", values));
  check("barrier", () => callOperator("group::barrier"));
  check("buckets of gradients", () =>
    on(device, () => {
      const weights = [30, 40, 50].map((count) => numbers(count).requires_grad_());
      const loss = () => weights.map((w) => w.square().sum()).reduce((a, b) => a.add(b));
      const expected = grad([loss()], weights);
      const buckets = native.createBuckets(
        weights.map(({ handle }) => handle),
        200,
      );
      native.armBuckets(buckets);
      loss().backward();
      native.finishBuckets(buckets);
      const apart = weights.map((w, i) => expectNear("gradient", w.grad, expected[i], 0));
      native.releaseBuckets(buckets);
      return { apart: Math.max(...apart) };
    }),
  );
  for (const megabytes of device === "cpu" ? [1] : [1, 16, 256])
    figure(`all_reduce_flat_ of ${megabytes} MB in a group of one`, () =>
      on(device, () => {
        const gradients = [ops.aten.zeros([megabytes * 2 ** 18])];
        const seconds = secondsOf(() => callOperator("group::all_reduce_flat_", gradients, 1));
        return { milliseconds: 1000 * seconds, "GB/s": (megabytes * 2 ** 20) / seconds / 1e9 };
      }),
    );
  check("leaves the group", () => native.leaveGroup());
}
finish();
