import { readFile } from "node:fs/promises";
import { inflateSync } from "node:zlib";

/** Flags of a node. */
const [COMPRESSED, FOLDER, ZSTANDARD] = [1, 2, 4];

/**
 * The files of a Qt resource archive (`.rcc`, versions 1 to 3). It begins with `qres`, a version, and where the tree, the data and
 * the names begin, each in 32 bits, most significant byte first, as everything is. A node of the tree has the place of its name,
 * flags, and for a folder the number of its children and the first of them, for a file its territory, its language and the place
 * of its data. Since version 2 there is a time at the end of a node.
 *
 * @param wanted tells by its path, such as `/images/fish.webp`, whether a file is wanted
 * @returns the wanted files' content by their paths, in the order of the tree
 * @throws Error for another format, and for files compressed by Zstandard
 */
export async function readResources(
  path: string,
  wanted: (path: string) => boolean,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const bytes = await readFile(path);
  try {
    return filesOf(bytes, wanted);
  } catch (error) {
    throw new Error(`${path} is not a whole Qt resource archive that can be read: ${(error as Error).message}.`, {
      cause: error,
    });
  }
}

function filesOf(bytes: Buffer, wanted: (path: string) => boolean): ReadonlyMap<string, Uint8Array> {
  if (bytes.toString("latin1", 0, 4) !== "qres") throw new Error("it does not begin with 'qres'");
  const [version, tree, data, names] = [4, 8, 12, 16].map((at) => bytes.readUInt32BE(at)) as [
    number,
    number,
    number,
    number,
  ];
  if (version < 1 || version > 3) throw new Error(`its version is ${version}, but 1 to 3 are known`);
  const nodeLength = version === 1 ? 14 : 22;
  const nodes = (names > tree ? names : bytes.length) / nodeLength;
  const files = new Map<string, Uint8Array>();
  let seen = 0;
  const nameAt = (at: number) => {
    const characters = bytes.readUInt16BE(at);
    // 32 bits of a hash are between the length and the name.
    const text = Buffer.from(bytes.subarray(at + 6, at + 6 + 2 * characters));
    return text.swap16().toString("utf16le");
  };
  const contentAt = (at: number, flags: number) => {
    const content = bytes.subarray(at + 4, at + 4 + bytes.readUInt32BE(at));
    if ((flags & ZSTANDARD) !== 0) throw new Error("a file in it is compressed by Zstandard");
    // Before the zlib stream stands the length that it expands to.
    return new Uint8Array((flags & COMPRESSED) !== 0 ? inflateSync(content.subarray(4)) : content);
  };
  const visit = (node: number, folder: string) => {
    if (++seen > nodes) throw new Error("its tree has a loop");
    const at = tree + node * nodeLength;
    const [name, flags] = [bytes.readUInt32BE(at), bytes.readUInt16BE(at + 4)];
    const path = node === 0 ? "" : `${folder}/${nameAt(names + name)}`;
    if ((flags & FOLDER) !== 0) {
      const [children, first] = [bytes.readUInt32BE(at + 6), bytes.readUInt32BE(at + 10)];
      for (let child = first; child < first + children; child++) visit(child, path);
    } else if (wanted(path)) {
      files.set(path, contentAt(data + bytes.readUInt32BE(at + 10), flags));
    }
  };
  visit(0, "");
  return files;
}
