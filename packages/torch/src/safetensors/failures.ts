import { dirname } from "node:path";
import { SafetensorsError } from "./header.ts";

export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "syscall" in error && "code" in error;
}

/** What the operating system refused, in words, and what to do about it. */
export function explainSystemError(path: string, verb: "read" | "write", error: NodeJS.ErrnoException): Error {
  const reason = `cannot ${verb} it: ${reasonOf(path, verb, error)}`;
  const untouched = "; what was there before is as it was";
  return new SafetensorsError(path, verb === "write" ? reason + untouched : reason, { cause: error });
}

function reasonOf(path: string, verb: "read" | "write", error: NodeJS.ErrnoException): string {
  const folder = dirname(path);
  switch (error.code) {
    case "ENOSPC":
    case "EDQUOT":
      return `no space is left for it in ${folder}. Free some, or write elsewhere (${error.code})`;
    case "EROFS":
      return `${folder} is on a read-only file system. Write elsewhere (EROFS)`;
    case "EACCES":
    case "EPERM":
      return `the permissions do not allow it. Change them, or ${verb} as another user or elsewhere (${error.code})`;
    case "ENOENT":
      return verb === "read"
        ? "there is no such file (ENOENT)"
        : `there is no folder ${folder}. Make it first (ENOENT)`;
    case "EISDIR":
      return "it is a folder (EISDIR)";
    default:
      return error.message;
  }
}
