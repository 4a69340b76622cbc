import { STATUS_CODES } from "node:http";
import type { z } from "zod";
import type { problemAnswer } from "./api.ts";

export interface FieldError {
  /** A path, such as `condition.text`; empty for the whole body. */
  readonly field: string;
  readonly message: string;
}

/** Why a request is not answered, for the client: RFC 9457. */
export class Problem extends Error {
  override readonly name = "Problem";
  readonly errors: readonly FieldError[] | undefined;
  readonly headers: Readonly<Record<string, string>>;

  /** @param detail what was expected, what came, what to do */
  constructor(
    readonly status: number,
    detail: string,
    options: { errors?: readonly FieldError[]; headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(detail);
    this.errors = options.errors;
    this.headers = options.headers ?? {};
  }

  get body(): z.output<typeof problemAnswer> {
    const { status, message: detail, errors } = this;
    const title = STATUS_CODES[status] ?? "Error";
    return { type: "about:blank", title, status, detail, ...(errors && { errors: [...errors] }) };
  }

  response(): Response {
    const headers = { "content-type": "application/problem+json", ...this.headers };
    return new Response(JSON.stringify(this.body), { status: this.status, headers });
  }
}

/** A problem with one field of a request. */
export function fieldProblem(field: string, message: string): Problem {
  return problemOfFields([{ field, message }]);
}

/** Problems with fields: 422, since the body was understood. */
export function problemOfFields(errors: readonly FieldError[]): Problem {
  const sentences = errors.map(({ field, message }) => (field === "" ? message : `${field}: ${message}`));
  return new Problem(422, sentences.join("; "), { errors });
}

/** What a schema found, field by field. */
export function schemaProblem({ issues }: z.ZodError): Problem {
  return problemOfFields(
    issues.flatMap((issue): FieldError[] => {
      const path = issue.path.join(".");
      if (issue.code !== "unrecognized_keys") return [{ field: path, message: issue.message }];
      return issue.keys.map((key) => ({ field: [...issue.path, key].join("."), message: "there is no such field" }));
    }),
  );
}
