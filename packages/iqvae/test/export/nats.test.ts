import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inferenceMode, ops, scope, type Tensor, tensor, writeSafetensors } from "@iqvae/torch";
import { afterAll, expect, test } from "vitest";
import { roundingCost } from "../../src/export/nats.ts";
import { imageSurprise } from "../../src/models/transformer.ts";
import { randomModels, smallConfig } from "./support.ts";

const home = mkdtempSync(join(tmpdir(), "iqvae-nats-"));
afterAll(() => rmSync(home, { recursive: true }));

test.each([
  ["all, where there are few", 20, 1],
  ["every second one of 512", 512, 2],
])("rounding is measured on held-out images: %s", (_, count, apart) => {
  const { transformer } = randomModels(smallConfig("tiny"));
  const { conditionCodes, imageCodes, conditionTokens, imageTokens } = transformer.tokens;
  scope(() => {
    const some = (codes: number, length: number) => ops.aten.randint(codes, [count, length], { dtype: "int64" });
    const [conditions, images] = [some(conditionCodes, conditionTokens), some(imageCodes, imageTokens)];
    const path = join(home, `${count}.safetensors`);
    const tokens = { conditions: conditions.to("int32"), images: images.to("int32") };
    const named = ["train", "validation"].flatMap((split) =>
      Object.entries(tokens).map(([of, x]) => [`${split}.${of}`, x]),
    );
    writeSafetensors(path, new Map(named as [string, Tensor][]));
    const seen = tensor(BigInt64Array.from({ length: count / apart }, (_, i) => BigInt(i * apart)));
    const rows = (all: Tensor) => all.index_select(0, seen);
    const sum = inferenceMode(() => imageSurprise(transformer, rows(conditions), rows(images)).sum().item());
    const cost = roundingCost(transformer, path, new Map())!;
    expect(cost.images).toBe(count / apart);
    expect(cost.asTrained).toBeCloseTo(sum / (cost.images * imageTokens), 4);
    expect(cost.asStored).toBe(cost.asTrained);
  });
});
