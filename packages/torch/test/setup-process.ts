import { tuneProcess } from "../src/index.ts";

// As programs do: without it malloc gives large blocks back after every step.
tuneProcess();
