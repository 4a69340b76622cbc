import { resolve } from "node:path";
import { native } from "./native.ts";
import { readOverloads } from "./overloads.ts";

/**
 * Loads a shared library that registers operators with libtorch (`TORCH_LIBRARY`); `ops` and `callOperator` have them from
 * then on. It must have been built against the libtorch that is in use, as {@link builtLibrary} finds it. It stays for the
 * life of the process; loading it again, or in another thread, does nothing.
 *
 * @param path the library, relative to the working folder when it is not absolute
 * @throws {Error} with the linker's reason when it cannot be loaded
 */
export function loadLibrary(path: string): void {
  native.loadLibrary(resolve(path));
  readOverloads();
}
