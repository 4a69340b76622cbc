import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { bundle } from "./browser.ts";

test.each(["in-page", "in-worker"])(
  "what draws is at most 60 KB to download, minified and compressed, and has nothing of Node.js: %s",
  async (page) => {
    const files = await bundle(`pages/${page}.ts`);
    expect([...files.keys()].some((name) => name.includes("entry"))).toBe(page === "in-worker");
    const kernels = [...files.values()].filter((bytes) => Buffer.from(bytes).includes("AGFzbQ")); // "\0asm" in Base64
    expect(kernels).toHaveLength(1);
    // Modules of Node.js, which Vite puts nothing in the place of, and others fail on; a free `process`, for which Parcel brings a package.
    const strange = /__vite-browser-external|(?<!globalThis\.)\bprocess\b\??\./;
    for (const [name, code] of files)
      expect([name, Buffer.from(code).toString()]).toEqual([name, expect.not.stringMatching(strange)]);
    const bytes = [...files.values()].reduce((sum, content) => sum + gzipSync(content).length, 0);
    expect(bytes).toBeLessThanOrEqual(60_000);
  },
);
