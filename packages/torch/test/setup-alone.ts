import { vi } from "vitest";
import { native, tuneProcess } from "../src/native.ts";
import "./equal-bytes.ts";
import "./seeds.ts";

// As programs do: without it malloc gives large blocks back after every step. It is the process that is set up; the modules
// are loaded anew by the test file, so that they meet its mocks.
tuneProcess();
native.threads();
vi.resetModules();
