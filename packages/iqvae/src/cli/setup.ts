import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { optionsOf } from "./options.ts";

const OWN = fileURLToPath(new URL("../..", import.meta.url));

export function setupCommand(): Command {
  return new Command("setup")
    .description(
      "build what training needs for the libtorch of this machine; where there is none, offer to install one",
    )
    .option("-y, --yes", "agree to the installation beforehand")
    .action(async (_: unknown, command: Command) => {
      const { yes, json } = optionsOf<{ yes?: boolean }>(command);
      // Package managers put it in many places, and not all of them let it be called by its name.
      const program = new URL("bin/iqvae-torch.mjs", import.meta.resolve("@iqvae/torch/package.json"));
      const args = [fileURLToPath(program), "setup", OWN, ...(yes ? ["--yes"] : [])];
      const child = spawn(process.execPath, args, { stdio: ["inherit", json ? 2 : 1, 2] });
      const [code] = (await once(child, "exit")) as [number | null];
      process.exitCode = code ?? 1;
    });
}
