import { liveTensors } from "@iqvae/torch";
import { expect } from "vitest";

/** How many tensors `body` leaves alive. */
export function left(body: () => unknown): number {
  const before = liveTensors();
  body();
  return liveTensors() - before;
}

/** What `body` throws. */
export const message = (body: () => unknown): string => {
  try {
    body();
  } catch (error) {
    return (error as Error).message;
  }
  return expect.fail("no error was thrown");
};
