import { didYouMean } from "@iqvae/torch";
import { Command } from "commander";
import { DATASETS, dataContactSheet, IMAGE_SIZES, type OpenBuiltIn, sizesOf } from "../data/index.ts";
import { openData } from "../run/train-run.ts";
import { amount } from "../support/amount.ts";
import { consoleProgress } from "./console.ts";
import { optionsOf, outputFile, whole } from "./options.ts";

interface DataOptions {
  readonly condition?: string;
  readonly size?: number;
  readonly count?: number;
  readonly out?: string;
  readonly fetch?: boolean;
}

function isDataset(name: string): name is OpenBuiltIn["name"] {
  return Object.hasOwn(DATASETS, name);
}

const USUAL_SIZE = 64;

function usualSize(name: string): number {
  return sizesOf(name).includes(USUAL_SIZE) ? USUAL_SIZE : Math.max(...sizesOf(name));
}

export function dataCommand(): Command {
  return new Command("data")
    .description("draw a data set if need be, and a picture of some of its pairs")
    .argument("<name>", `one of ${Object.keys(DATASETS).join(", ")}`)
    .option(
      "--condition <kind>",
      "what images are drawn from, for sets that have several kinds (default: the first that docs/data.md names)",
    )
    .option(
      "--size <pixels>",
      `one of ${IMAGE_SIZES.join(", ")} (default: 64, or the largest of a set that has none)`,
      whole(1),
    )
    .option(
      "--count <pairs>",
      "how many pairs (default: 12000 of sets that are drawn at random, all of the others)",
      whole(1),
    )
    .option("--fetch", "fetch packages that the set needs and that are fetched only when asked for")
    .option("--out <file.png>", "the picture (default: data-NAME.png)")
    .action(async (name: string, _: unknown, command: Command) => {
      if (!isDataset(name)) {
        throw new Error(`There is no data set '${name}'; ${didYouMean(name, Object.keys(DATASETS))}`);
      }
      const {
        condition = DATASETS[name][0],
        size = usualSize(name),
        count,
        out,
        fetch = false,
        json,
      } = optionsOf<DataOptions>(command);
      const progress = consoleProgress({ json });
      // openDataset checks each value and names the choices.
      const data = { name, condition, size, fetch, ...(count === undefined ? {} : { count }) } as OpenBuiltIn;
      const path = outputFile(out, `data-${name}.png`);
      const dataset = await openData(data, progress);
      try {
        await dataContactSheet(dataset, path);
        const { train, validation, licenses } = dataset;
        const text = `${name}: ${amount(train.length, "pair")} for training, ${validation.length} held out. Some of them: ${path}`;
        progress.tell(text, { event: "data", name, train: train.length, validation: validation.length, path });
        for (const { package: from, version, author, license } of licenses) {
          const line = `  from ${from} ${version} by ${author}, ${license}`;
          progress.tell(line, { event: "license", package: from, version, author, license });
        }
      } finally {
        dataset.close();
      }
    });
}
