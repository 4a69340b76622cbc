import type { Port } from "./protocol.ts";
import { serve } from "./serve.ts";

// What runs in the worker that WorkerGenerator starts.
serve(globalThis as unknown as Port);
