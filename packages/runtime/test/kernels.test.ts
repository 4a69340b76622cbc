import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { kernelModule } from "../scripts/build-kernels.mjs";

test("the committed kernels are those of their source: node packages/runtime/scripts/build-kernels.mjs", async () => {
  const committed = readFileSync(new URL("../src/engines/kernels.ts", import.meta.url), "utf8");
  expect((await kernelModule()) === committed).toBe(true);
});
