/** Makes something when it is first asked for, and keeps it. What failed is tried anew the next time. */
export function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    if (made === undefined) {
      made = make();
      made.catch(() => {
        made = undefined;
      });
    }
    return made;
  };
}

/** A function that does its work once for each key. */
export function onceEach<A, T>(work: (given: A) => T, keyOf: (given: A) => string): (given: A) => T {
  const known = new Map<string, T>();
  return (given) => {
    const key = keyOf(given);
    const result = known.get(key) ?? work(given);
    known.set(key, result);
    return result;
  };
}
