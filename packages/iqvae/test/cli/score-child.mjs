// One rank of those that score a run, the first argument, by a network that means nothing. Prints the figures as a line of JSON.
import { initProcessGroup, manualSeed, setNumThreads, tuneProcess } from "@iqvae/torch";
import { AttributesNetwork, attributesFeatures } from "../../dist/features/attributes.js";
import { scoreRun } from "../../dist/metrics/score.js";
import { openRun } from "../../dist/run/run-folder.js";
import { Peers } from "../../dist/support/peers.js";

tuneProcess();
setNumThreads(1);
const group = initProcessGroup({ timeout: 60 });
manualSeed(3);
const network = attributesFeatures(new AttributesNetwork([{ name: "hair", classes: 4 }], 13), "attributes-test", "abc");
const { figures } = await scoreRun(openRun(process.argv[2]), {
  ...{ conditions: 5, samples: 8, seed: 4, networks: [network] },
  fidelity: { networks: {}, score: () => [] },
  ...(group.size > 1 && { peers: new Peers(group) }),
});
console.log(JSON.stringify(figures));
