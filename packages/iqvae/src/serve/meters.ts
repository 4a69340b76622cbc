import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { QueueMeter } from "./queue.ts";

/** What is counted, for Prometheus. */
export interface Meters extends QueueMeter {
  readonly registry: Registry;
  /** @param seconds from the request to the end of its answer */
  request(route: string, status: number, seconds: number): void;
  /** @param load asked for whenever figures are */
  watch(load: () => { readonly waiting: number; readonly drawing: number }): void;
}

/** @param onLost called when what draws was lost */
export function createMeters(onLost: (reason: string) => void): Meters {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const counter = (name: string, help: string, labelNames: readonly string[] = ["model"]) =>
    new Counter({ name, help, labelNames, registers });
  const images = counter("iqvae_images_total", "Images that were drawn");
  const dropped = counter("iqvae_images_dropped_total", "Images that were asked for, but not waited for");
  const seconds = counter("iqvae_drawing_seconds_total", "Time that batches took");
  const lost = counter("iqvae_drawers_lost_total", "Processes that draw that ended by themselves or did not start", []);
  const batches = new Histogram({
    name: "iqvae_batch_images",
    help: "Images that were drawn at once",
    labelNames: ["model"],
    buckets: [1, 2, 4, 8, 16, 32, 64],
    registers,
  });
  const requests = new Histogram({
    name: "iqvae_request_seconds",
    help: "Time to the end of an answer",
    labelNames: ["route", "status"],
    buckets: [0.005, 0.02, 0.1, 0.3, 1, 3, 10, 30, 60],
    registers,
  });
  return {
    registry,
    batch(model, count, took) {
      images.inc({ model }, count);
      seconds.inc({ model }, took);
      if (count > 0) batches.observe({ model }, count);
    },
    dropped: (model, count) => dropped.inc({ model }, count),
    lost(reason) {
      lost.inc();
      onLost(reason);
    },
    request: (route, status, took) => requests.observe({ route, status }, took),
    watch(load) {
      const gauge = (name: string, help: string, value: () => number) =>
        new Gauge({
          name,
          help,
          registers,
          collect() {
            this.set(value());
          },
        });
      gauge("iqvae_images_waiting", "Images that wait", () => load().waiting);
      gauge("iqvae_images_drawing", "Images that are being drawn", () => load().drawing);
    },
  };
}
