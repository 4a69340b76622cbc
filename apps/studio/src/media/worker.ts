import { colorEdges, logMel, readWav } from "@iqvae/runtime";
import type { MediaAnswer, MediaRequest } from "./media.ts";

const answer = (message: MediaAnswer) => postMessage(message);

addEventListener("message", ({ data }: MessageEvent<MediaRequest>) => {
  try {
    answer({ bytes: bytesOf(data) });
  } catch (error) {
    answer({ problem: (error as Error).message });
  }
});

function bytesOf(request: MediaRequest): Uint8Array {
  switch (request.kind) {
    case "edges":
      return colorEdges(request.rgb, request.size);
    case "wav":
      return logMel(readWav(request.file, request.name), request.spec);
    case "sound":
      return logMel(request, request.spec);
  }
}
