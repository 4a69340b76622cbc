import { type Engine, plainCondition, sampleTokens } from "@iqvae/runtime";
import { liveTensors } from "@iqvae/torch";
import { expect, test } from "vitest";
import { conditionPlanes } from "../../src/conditions/index.ts";
