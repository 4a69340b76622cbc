import { tuneProcess } from "@iqvae/torch";
import { answerOrders } from "./answer.ts";
import type { Order, Reply } from "./protocol.ts";

// What runs in a process that draws. It ends with the server, by whatever that ends; Ctrl-C in a terminal reaches both, and the server
// decides what is still drawn.
tuneProcess();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});
process.on("disconnect", () => process.exit());
answerOrders({
  send: (reply: Reply) => {
    if (process.connected) process.send!(reply);
  },
  onMessage: (listener) => process.on("message", (order) => listener(order as Order)),
});
