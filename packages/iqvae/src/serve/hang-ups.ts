import type { Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/**
 * Closes all answers of a connection with it. Node.js closes the one that is being sent; those that wait behind it, where a client asked
 * several things at once, would never hear of the end, and keep what they have open.
 */
export function closeWithConnection(server: Server): void {
  const pending = new WeakMap<Socket, Set<ServerResponse>>();
  server.on("connection", (socket: Socket) => {
    const answers = new Set<ServerResponse>();
    pending.set(socket, answers);
    socket.once("close", () => {
      for (const answer of answers) {
        answer.destroyed = true;
        answer.emit("close");
      }
    });
  });
  server.on("request", (request, response) => {
    const answers = pending.get(request.socket);
    answers?.add(response);
    response.once("close", () => answers?.delete(response));
  });
}
