/** What a server allows, so that no client can take all of it. */
export interface Limits {
  /** Bytes of a request's body. */
  readonly body: number;
  /** Images of a request. */
  readonly samples: number;
  /** Pixels of all images of a request. */
  readonly pixels: number;
  /** Images that wait. */
  readonly queue: number;
  /** Seconds from a request to the end of its answer. */
  readonly seconds: number;
  /** Images that are drawn at once. */
  readonly batch: number;
}

export const LIMITS: Limits = { body: 2 ** 20, samples: 64, pixels: 2 ** 22, queue: 256, seconds: 60, batch: 8 };
