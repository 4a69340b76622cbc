import { basename } from "node:path";
import type { Config } from "../config/index.ts";
import { type License, licensesOf } from "../data/index.ts";
import { PACKAGED_NETWORKS } from "../features/packaged.ts";
import type { RunScore } from "../metrics/index.ts";
import type { Checkpoint } from "../run/checkpoint.ts";
import type { MetricsRecord } from "../run/metrics-log.ts";
import { STAGES, type Stage } from "../support/trainer.ts";
import { fileCommand, trainingCommand } from "./command.ts";
import type { Description } from "./describe.ts";
import type { RoundingCost } from "./nats.ts";

/** What a card is made of: what the files of a run say, and what was written. */
export interface CardFacts {
  readonly config: Config;
  readonly description: Description;
  /** The checkpoints that the weights are from. */
  readonly checkpoints: Readonly<Record<Stage, Checkpoint>>;
  /** Seconds of training; 0 where that is not known. */
  readonly seconds: Readonly<Record<Stage, number>>;
  readonly records: readonly MetricsRecord[];
  /** What `iqvae metrics` measured. */
  readonly score: RunScore | undefined;
  readonly rounding: RoundingCost | undefined;
  /** What the pairs of training show, by name, where that is known. */
  readonly concepts: readonly string[];
  readonly parameters: number;
  /** The other files and their sizes. */
  readonly files: Readonly<Record<string, { readonly bytes: number }>>;
}

/** The card of a model, as model hubs show it: Markdown after a few lines of YAML. */
export function card(facts: CardFacts): string {
  const { config, description, files } = facts;
  const { data } = config;
  const sections = [
    frontMatter(facts),
    `# ${description.name.replace(/[\\`*<&[\]]/g, "\\$&")}`,
    `Draws images of ${data.size} × ${data.size} pixels from ${CONDITIONS[description.condition.kind]}, many different ones for each, as in the data set ` +
      `\`${data.name}\`. ${parametersOf(facts)}`,
    "samples.png" in files
      ? "![Samples](samples.png)\n\nEach row: a held-out condition, its real image, and images that the run drew for it."
      : "",
    `## Use\n\n${USAGE}`,
    `## Data\n\n${dataOf(config)}${namesOf(facts)}`,
    `## Training\n\n${trainingOf(facts)}`,
    `## Held-out figures\n\n${figuresOf(facts)}`,
    `## Limits\n\n${limitsOf(facts)}`,
    `## Files\n\n${filesOf(facts)}`,
    details("Configuration", "json", JSON.stringify(config, withoutPaths, 2)),
  ];
  return `${sections.filter((section) => section !== "").join("\n\n")}\n`;
}

const CONDITIONS = {
  semantic: "painted maps of classes",
  lines: "line drawings",
  edges: "edges",
  keypoints: "key points",
  layout: "boxes with classes",
  text: "texts",
  audio: "sounds",
} as const;

function frontMatter({ description }: CardFacts): string {
  const { kind } = description.condition;
  const task = kind === "text" ? "text-to-image" : kind === "audio" ? undefined : "image-to-image";
  return [
    "---",
    "library_name: iqvae",
    ...(task === undefined ? [] : [`pipeline_tag: ${task}`]),
    "tags: [iqvae, vector-quantization, conditional-image-generation, onnx]",
    "---",
  ].join("\n");
}

function parametersOf({ parameters, description }: CardFacts): string {
  const { condition, image } = description.grids;
  const tokens = `${condition[0] * condition[1]} tokens of the condition, ${image[0] * image[1]} of the image`;
  return `${millions(parameters)} parameters, stored as ${WEIGHTS[description.weights]}; ${tokens}.`;
}

const WEIGHTS = {
  f32: "float32",
  f16: "float16, vectors as float32",
  int8: "whole numbers of 8 bits with a scale for each row, vectors as float32",
} as const;

const USAGE =
  `${fenced(
    "js",
    [
      'import { ImageGenerator } from "@iqvae/runtime";',
      "",
      'const generator = await ImageGenerator.load("./"); // this folder: a path, or an address',
      "const [condition] = generator.examples; // or one of your own",
      "const [images] = await generator.draw([condition], { samples: 6, seed: 1 }); // RGB bytes",
    ].join("\n"),
  )}\n\n` +
  "The ONNX graphs run in any runtime of opset 23; they take their weights from `model.safetensors` beside them. " +
  "What goes in and comes out is in docs/export.md of the program.";

function dataOf({ data }: Config): string {
  const licenses = licensesOf(data);
  const values = Object.entries(data).filter(([key]) => key !== "path" && key !== "name");
  const choices = values.map(([key, value]) => `${key} ${inText(JSON.stringify(value))}`).join(", ");
  const head = `\`${data.name}\` (${choices}).`;
  if (licenses.length === 0)
    return `${head} The run does not know whose images these are: before you share the model, say it here, and on what terms.`;
  const rows = licenses.map((each: License) => [
    `[${each.package}](${each.url}) ${each.version}`,
    each.author,
    each.license,
  ]);
  return `${head} Made of:\n\n${table(["package", "by", "license"], rows)}`;
}

/** More are read by nobody. */
const MOST_NAMES = 200;

/** What to ask for: whoever writes or speaks to a model cannot see it otherwise. */
function namesOf({ concepts, description: { condition } }: CardFacts): string {
  if (condition.kind !== "text" && condition.kind !== "audio") return "";
  if (concepts.length === 0 || concepts.length > MOST_NAMES) return "";
  return `\n\n${concepts.length} things are in it: ${concepts.map(inText).join(", ")}.`;
}

function trainingOf({ config, checkpoints, seconds }: CardFacts): string {
  const command = trainingCommand(config);
  const rows = STAGES.map((stage) => {
    const { step, versions, machine } = checkpoints[stage];
    const time = seconds[stage] === 0 ? "not recorded" : hours(seconds[stage]);
    return [
      STAGE_NAMES[stage],
      String(step),
      time,
      machine ?? "not recorded",
      `iqvae ${versions.iqvae}, libtorch ${versions.libtorch}`,
    ];
  });
  const how =
    command === undefined
      ? `${code(fileCommand(config))}, with the configuration at the end as \`config.json\``
      : code(command);
  return (
    `${how}; seed ${config.seed}, products in ${config.precision}.${beginningOf(config)}${lossNetworkOf(config)}\n\n` +
    table(["", "weights of step", "time in training", "processor", "versions"], rows)
  );
}

function beginningOf({ pretrained }: Config): string {
  return pretrained === null ? "" : ` It began with the weights of the run ${code(basename(pretrained.path))}.`;
}

/** The network of others that the perceptual loss looked with. */
function lossNetworkOf({ stage1: { perceptual } }: Config): string {
  if (perceptual?.network.kind !== "hed-vgg16") return "";
  const { package: name, version, author, license, url } = PACKAGED_NETWORKS["hed-vgg16"].license;
  return ` Its perceptual loss looks with the network in [${name}](${url}) ${version}, by ${author}, ${license}.`;
}

const STAGE_NAMES = { stage1: "stage 1, codes", stage2: "stage 2, transformer" } as const;

function figuresOf(facts: CardFacts): string {
  const { checkpoints, records, score, rounding } = facts;
  const newest = (stage: Stage, name: string) => {
    const value = records.findLast((r) => r.stage === stage && r.split === "validation" && name in r)?.[name];
    return typeof value === "number" ? value : undefined;
  };
  const mse = newest("stage1", "imageMse");
  const nll = checkpoints.stage2.evaluation?.figures.nll ?? undefined;
  const rows: string[][] = [
    // Pixels lie in [−1, 1], so the peak is 2.
    ...(mse === undefined ? [] : [["reconstruction of images, PSNR", `${(10 * Math.log10(4 / mse)).toFixed(2)} dB`]]),
    ...(nll === undefined ? [] : [["nats a token, in training", nll.toFixed(4)]]),
    ...roundingRows(rounding),
  ];
  const training = rows.length === 0 ? "" : table(["during the training", ""], rows);
  return [training, scoreOf(score)].filter((part) => part !== "").join("\n\n");
}

function roundingRows(rounding: RoundingCost | undefined): string[][] {
  if (rounding === undefined) return [];
  const of = `of ${rounding.images} images`;
  return [
    [`nats a token ${of}, weights as trained`, rounding.asTrained.toFixed(4)],
    [`nats a token ${of}, weights as stored here`, rounding.asStored.toFixed(4)],
  ];
}

/** How the part of a card begins that {@link scoreOf} writes; it ends where the next section begins. */
const SCORE = /(?:Drawn images were not measured|`npx iqvae metrics`:)[\s\S]*?(?=\n\n## )/;

/** A card with other figures of what the stored weights draw; as it is where it has no place for them. */
export function withScore(text: string, score: RunScore): string {
  return text.replace(SCORE, () => scoreOf(score, "as stored here"));
}

function scoreOf(score: RunScore | undefined, weights = "as trained"): string {
  if (score === undefined)
    return "Drawn images were not measured: `npx iqvae metrics` had not been run when this was exported.";
  const { settings, figures } = score;
  const { conditions, samples, seed, part, temperature, topK, topP, guidance } = settings;
  const how =
    `\`npx iqvae metrics\`: ${conditions} held-out conditions × ${samples} images, part \`${part}\`, seed ${seed}, temperature ${temperature}, ` +
    `top-k ${topK ?? "off"}, top-p ${topP}, guidance ${guidance}; of the weights ${weights}.`;
  const digits = (value: number | null) => (value === null ? "–" : value.toPrecision(4));
  const rows = figures.map(({ label, value, real, better }) => [
    `${label}${better === null ? "" : better === "lower" ? " ↓" : " ↑"}`,
    digits(value),
    digits(real),
  ]);
  return `${how}\n\n${table(["", "drawn", "real images in their place"], rows)}`;
}

function limitsOf({ config, description, rounding }: CardFacts): string {
  const { condition, transformer, weights, size } = description;
  const lines = [
    `It has seen \`${config.data.name}\` and nothing else. Whatever the condition says, what it draws looks like these images; conditions unlike those of ` +
      "the training give images that mean little.",
    `Images have ${size} × ${size} pixels, and no other size.`,
    ...(condition.kind === "text"
      ? ["It knows the texts of its training by their letters, and no language beyond them."]
      : []),
    ...(condition.kind === "audio" ? ["It knows the sounds of its training, and no other voices or noises."] : []),
    ...(transformer.unconditional ? [] : ["It was never trained without conditions, so it cannot be guided."]),
    "Details finer than its codes are lost: see the reconstruction above.",
    ...(weights === "f32" || rounding !== undefined ? [] : ["What rounding the weights cost was not measured."]),
  ];
  return lines.map((line) => `- ${line}`).join("\n");
}

function filesOf({ files }: CardFacts): string {
  return table(
    ["file", "bytes"],
    Object.entries(files).map(([name, { bytes }]) => [`\`${name}\``, bytes.toLocaleString("en-US")]),
  );
}

/** Where files lay on somebody's machine concerns nobody else. */
function withoutPaths(key: string, value: unknown): unknown {
  return key === "path" ? undefined : value;
}

function millions(count: number): string {
  return count < 1e6 ? count.toLocaleString("en-US") : `${(count / 1e6).toFixed(2)} million`;
}

function hours(seconds: number): string {
  if (seconds < 100) return `${seconds.toFixed(0)} s`;
  return seconds < 5400 ? `${(seconds / 60).toFixed(0)} minutes` : `${(seconds / 3600).toFixed(1)} hours`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** What is plain as it is, all else as code: names of classes may hold HTML. */
function inText(json: string): string {
  return /^[\w".-]*$/.test(json) ? json : code(json);
}

/** A code span, within more backticks than the text has in a row. */
function code(text: string): string {
  const longest = Math.max(0, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const ticks = "`".repeat(longest + 1);
  return `${ticks}${text}${ticks}`;
}

function fenced(language: string, text: string): string {
  return `\`\`\`${language}\n${text}\n\`\`\``;
}

function details(summary: string, language: string, text: string): string {
  return `<details><summary>${summary}</summary>\n\n${fenced(language, text)}\n\n</details>`;
}
