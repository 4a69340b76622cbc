import { torchVersion, tuneProcess } from "../src/index.ts";
import "./equal-bytes.ts";

// As programs do: without it malloc gives large blocks back after every step.
tuneProcess();
torchVersion();
