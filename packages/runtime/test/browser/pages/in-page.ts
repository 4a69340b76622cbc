export { ImageGenerator } from "../../../src/index.ts";
