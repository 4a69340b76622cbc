import { existsSync, statSync } from "node:fs";
import { didYouMean } from "@iqvae/torch";
import { Command } from "commander";
import { loadConfig, PRESET_NAMES } from "../config/index.ts";
import { dataContactSheet, IMAGE_SIZES, IMPORTS, isImport, type OpenImport } from "../data/index.ts";
import { openData } from "../run/train-run.ts";
import { amount } from "../support/amount.ts";
import { consoleProgress } from "./console.ts";
import { collect, optionsOf, outputFile, whole } from "./options.ts";

interface ImportOptions {
  readonly set?: string[];
  readonly size?: number;
  readonly out?: string;
}

/** A folder of pairs has to say more than where it lies and its size. */
const LAYOUTS = IMPORTS.filter((name) => name !== "folder");

const USUAL_SIZE = 64;

export function importCommand(): Command {
  return new Command("import")
    .description(
      "read and check a data set of your own, before a training does, and draw a picture of some of its pairs",
    )
    .argument("<layout|config>", `one of ${LAYOUTS.join(", ")}; or the JSON file of a configuration`)
    .argument("[folder]", "where the data set lies, unless a configuration says so")
    .option("--size <pixels>", `one of ${IMAGE_SIZES.join(", ")}, of a layout (default: ${USUAL_SIZE})`, whole(1))
    .option("--set <key=value>", "another value of the configuration; may be repeated", collect(String))
    .option("--out <file.png>", "the picture (default: data-NAME.png)")
    .action(async (source: string, folder: string | undefined, _: unknown, command: Command) => {
      const { set, size, out, json } = optionsOf<ImportOptions>(command);
      const progress = consoleProgress({ json });
      const data = requestOf(source, folder, size, set);
      const path = outputFile(out, `data-${data.name}.png`);
      const dataset = await openData(data, progress);
      try {
        await dataContactSheet(dataset, path);
        const { train, validation, problems } = dataset.report!;
        const text = `${amount(train, "pair")} for training, ${validation} held out. Some of them: ${path}`;
        progress.tell(text, { event: "imported", name: dataset.name, train, validation, path, problems });
      } finally {
        dataset.close();
      }
    });
}

/** @throws Error for what is neither a layout with its folder nor a configuration of one */
function requestOf(
  source: string,
  folder: string | undefined,
  size: number | undefined,
  set: string[] = [],
): OpenImport {
  if ((LAYOUTS as readonly string[]).includes(source)) {
    if (folder === undefined) throw new Error(`Say where ${source} lies: npx iqvae import ${source} FOLDER`);
    if (set.length > 0)
      throw new Error(`--set ${set[0]} is for configurations; of ${source} the side of the images is set, by --size.`);
    // openDataset checks each value and names the choices.
    return { name: source, path: folder, size: size ?? USUAL_SIZE } as OpenImport;
  }
  if (source === "folder") {
    throw new Error(
      'A folder of pairs needs a configuration, which names the kind of its conditions: npx iqvae import FILE.json, with "data": ' +
        '{ "name": "folder", "path": …, "size": 64, "condition": … }',
    );
  }
  const isPreset = (PRESET_NAMES as readonly string[]).includes(source);
  if (folder !== undefined && !isPreset && !existsSync(source))
    throw new Error(`There is no layout '${source}'; ${didYouMean(source, LAYOUTS)}`);
  if (folder === undefined && !isPreset) expectNoFolder(source);
  const { data } = loadConfig(source, set);
  if (!isImport(data))
    throw new Error(`The data of ${source} are built in; look at them with: npx iqvae data ${data.name}`);
  if (size !== undefined)
    throw new Error(
      `${source} says itself how large its images are: leave out --size, or give --set data.size=${size} in its place.`,
    );
  if (folder === undefined) return data;
  throw new Error(
    `${source} says itself where its data lie: leave out ${folder}, or give --set data.path=${folder} in its place.`,
  );
}

/** @throws Error for a folder, of which nobody said how it is laid out */
function expectNoFolder(path: string): void {
  if (!existsSync(path) || !statSync(path).isDirectory()) return;
  throw new Error(
    `${path} is a folder. Say first how it is laid out, as one of ${LAYOUTS.join(", ")}: npx iqvae import LAYOUT ${path}. ` +
      "A folder of pairs needs a configuration: npx iqvae import FILE.json",
  );
}
