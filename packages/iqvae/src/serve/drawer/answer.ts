import { drawBatch, type LoadedModel } from "./batch.ts";
import { loadModel } from "./load.ts";
import type { Channel, ModelPlace, Order, Reply } from "./protocol.ts";

/**
 * Answers the orders that come in at a channel: what a process that draws does.
 *
 * @param load loads a model; for tests
 */
export function answerOrders(
  channel: Channel<Reply, Order>,
  load: (place: ModelPlace) => Promise<LoadedModel> = loadModel,
): void {
  const models = new Map<string, LoadedModel>();
  const dropped = new Set<number>();

  const answer = async (order: Exclude<Order, { kind: "drop" }>): Promise<Reply> => {
    switch (order.kind) {
      case "load":
        for (const place of order.models) models.set(place.name, await load(place));
        return {
          kind: "loaded",
          engines: Object.fromEntries([...models].map(([name, { engine }]) => [name, engine.name])),
        };
      case "draw": {
        dropped.clear();
        const parts = await drawBatch(models.get(order.model)!, order.parts, {
          onProgress: (share) => channel.send({ kind: "progress", share }),
          onFrame: (part, share, picture) => channel.send({ kind: "frame", part, share, ...picture }),
          isDropped: (part) => dropped.has(part),
        });
        return { kind: "drawn", parts };
      }
    }
  };

  channel.onMessage((order) => {
    if (order.kind === "drop") {
      dropped.add(order.part);
      return;
    }
    answer(order).then(
      (reply) => channel.send(reply),
      (error: Error) => channel.send({ kind: "failed", message: error.message }),
    );
  });
}
