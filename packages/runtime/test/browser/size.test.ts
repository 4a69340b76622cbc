import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { bundle } from "./browser.ts";

test.each(["in-page", "in-worker"])(
  "what draws is at most 60 KB to download, minified and compressed: %s",
  async (page) => {
    const files = await bundle(`pages/${page}.ts`);
    expect([...files.keys()].some((name) => name.includes("entry"))).toBe(page === "in-worker");
    const kernels = [...files.values()].filter((bytes) => Buffer.from(bytes).includes("AGFzbQ")); // "\0asm" in Base64
    expect(kernels).toHaveLength(1);
    const bytes = [...files.values()].reduce((sum, content) => sum + gzipSync(content).length, 0);
    expect(bytes).toBeLessThanOrEqual(60_000);
  },
);
