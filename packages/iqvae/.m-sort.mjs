import { floatSorter } from "/tmp/h/metrics/packages/iqvae/dist/metrics/sort.js";
import { patchDistance } from "/tmp/h/metrics/packages/iqvae/dist/metrics/swd.js";
import { ops, manualSeed } from "@iqvae/torch";
const N=1_280_000; const s=floatSorter(N);
for(let k=0;k<4;k++){const v=Float32Array.from({length:N},()=>Math.random()-0.5);const t=performance.now();s(v);console.log("radix",(performance.now()-t).toFixed(1));}
const v=Float32Array.from({length:N},()=>Math.random()-0.5);let t=performance.now();v.sort();console.log("v8",(performance.now()-t).toFixed(1));
manualSeed(1);const a=ops.aten.randn([N/4,147]),b=ops.aten.randn([N/4,147]);const th=ops.aten.randn([147,64],{dtype:"float64"});
t=performance.now();console.log(patchDistance(a,b,th));console.log("patchDistance 320k x 64 dirs",(performance.now()-t).toFixed(0),"ms");
