#!/usr/bin/env node
import { buildCommand } from "../scripts/build-native.mjs";

// Builds the addon for the libtorch of this machine, and the operators of the packages in the folders that are named.
await buildCommand(process.argv.slice(2));
