import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { MODEL_FILE } from "@iqvae/runtime";
import type { Context } from "hono";
import type { ServedModel } from "./catalog.ts";
import { Problem } from "./problem.ts";

const TYPES: Readonly<Record<string, string>> = {
  json: "application/json",
  md: "text/markdown; charset=utf-8",
  png: "image/png",
};

/**
 * A file of an exported model, for a browser that draws by itself: `model.json`, or one that it names.
 *
 * @throws Problem (404) for any other
 */
export async function modelFile(c: Context, model: ServedModel | undefined, file: string): Promise<Response> {
  const { bundle, folder } = model ?? {};
  const known = bundle !== undefined && (file === MODEL_FILE || Object.hasOwn(bundle.files, file));
  const path = join(folder ?? "", file);
  const size = known
    ? await stat(path).then(
        ({ size }) => size,
        () => undefined,
      )
    : undefined;
  if (size === undefined) throw new Problem(404, `There is no ${file} of a model of this name.`);
  const headers: Record<string, string> = {
    "content-type": TYPES[file.split(".").at(-1)!] ?? "application/octet-stream",
    // Asked for again each time; an answer without a body says that it is the same.
    "cache-control": "no-cache",
  };
  const hash = bundle!.files[file]?.sha256;
  if (hash !== undefined) headers.etag = `"${hash}"`;
  if (hash !== undefined && isKnown(c.req.header("if-none-match"), hash))
    return new Response(null, { status: 304, headers });
  headers["content-length"] = String(size);
  if (c.req.method === "HEAD") return new Response(null, { headers });
  return new Response(Readable.toWeb(createReadStream(path)) as ReadableStream, { headers });
}

/** Whether a client has a file of this hash already. */
function isKnown(ifNoneMatch: string | undefined, hash: string): boolean {
  // A proxy that compresses marks tags as weak; the contents are the same.
  const tags = ifNoneMatch?.split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  return tags?.some((tag) => tag === "*" || tag === `"${hash}"`) ?? false;
}
