// AssemblyScript. The kernels' door: plain functions on one memory, which is the caller's.
export { attend, layerNorm, remember } from "./attention";
export { linear } from "./linear";
export { linear16 } from "./linear16";
export { linear8 } from "./linear8";
export { gather, groupNormSilu } from "./planes";
