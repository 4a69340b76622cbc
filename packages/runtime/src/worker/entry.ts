import { serve } from "./serve.ts";

// What runs in the worker that WorkerGenerator starts.
serve();
