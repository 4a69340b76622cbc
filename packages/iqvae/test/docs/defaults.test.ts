import { describe, expect, it } from "vitest";
import { createProgram } from "../../src/cli/program.ts";
import { type ConfigInput, parseConfig, presets } from "../../src/config/index.ts";
import { read } from "./documents.ts";

/* Defaults that the documents name are those of the command line and of configurations. */

const text = (path: string) => read(path).replaceAll(/\s+/g, " ");

type Numbers = Readonly<Record<string, number>>;

/** The default of an option, as the program's own definition has it. */
async function defaultOf(command: string, option: string): Promise<unknown> {
  const found = (await createProgram()).commands.find((each) => each.name() === command)!;
  return found.options.find(({ long }) => long === option)!.defaultValue;
}

describe("the command line", () => {
  it.each([
    ["--max-body", "1 MiB", 2 ** 20],
    ["--max-samples", "64, 4,194,304", 64],
    ["--max-pixels", "64, 4,194,304", 4_194_304],
    ["--max-queue", "256", 256],
    ["--timeout", "60 s", 60],
    ["--batch", "8", 8],
  ])("serve %s is %s", async (option, said, value) => {
    const row = read("docs/serve.md").split("\n");
    expect(row.find((line) => line.startsWith("| `--") && line.includes(`\`${option}\``))).toContain(` | ${said} | `);
    expect(await defaultOf("serve", option)).toBe(value);
  });

  it("serve listens where docs/serve.md says", async () => {
    const [host, port] = [await defaultOf("serve", "--host"), await defaultOf("serve", "--port")];
    expect(read("docs/serve.md")).toContain(`at http://${host}:${port}/`);
  });

  it("metrics draws as many images as docs/metrics.md says, of the part that it says", async () => {
    const [count, samples] = [await defaultOf("metrics", "--count"), await defaultOf("metrics", "--samples")];
    expect(text("docs/metrics.md")).toContain(`# draws ${Number(count).toLocaleString("en-US")} images`);
    expect(text("docs/metrics.md")).toContain(`\`--samples\` (${samples}) per condition`);
    expect(await defaultOf("metrics", "--part")).toBe("report");
  });
});

describe("configurations", () => {
  const { tiny } = presets;
  const parsed = (changes: Partial<ConfigInput>) => parseConfig({ ...tiny, ...changes }, "tiny");
  const fed = (exposure: object) =>
    parsed({ stage2: { ...tiny.stage2, exposure } as ConfigInput["stage2"] }).stage2.exposure;

  it("the adversarial term", () => {
    const { adversarial } = parsed({ stage1: { ...tiny.stage1, adversarial: {} } }).stage1;
    expect(JSON.parse(/`stage1\.adversarial: (\{[^`]*\})`/.exec(text("docs/method.md"))![1]!)).toEqual(adversarial);
  });

  it("the perceptual term and the regularizer", () => {
    const { perceptual, regularizer } = parsed({
      stage1: { ...tiny.stage1, perceptual: {}, regularizer: { estimator: "paired" } },
    }).stage1;
    expect(text("docs/method.md")).toContain(
      `\`stage1.perceptual: { "weight": ${perceptual!.weight}, "network": … }\``,
    );
    expect(text("docs/method.md")).toContain(
      `with weight \`λ\`, ${"weight" in regularizer && regularizer.weight} by default`,
    );
  });

  it("what stage 2 is fed", () => {
    const method = text("docs/method.md");
    expect(fed({ kind: "gumbel" })).toMatchObject({
      ...{ every: 4, temperature: { from: 1, to: 0.5 }, maxShare: 0.5, rampShare: 0.5, gradient: false },
      ...{ reliabilityPower: 1, reliabilityAbove: 0 },
    });
    expect(method).toContain(
      "By default `p = 1`, `a = 0`, `maxShare` and `rampShare` 0.5, `every` 4; `τ` falls geometrically from 1 to 0.5.",
    );
    expect(fed({ kind: "random" })).toMatchObject({ share: 0.1 });
    expect(method).toContain("| `random` | an evenly drawn code | a `share` of 0.1 |");
    expect(fed({ kind: "near" })).toMatchObject({ share: 0.2, temperature: 0.05 });
    expect(method).toMatch(/\| `near` \| [^|]*, temperature 0\.05 \| a `share` of 0\.2 \|/);
    expect(fed({ kind: "scheduled" })).toMatchObject({ every: 4, maxShare: 0.25 });
    expect(method).toMatch(/\| `scheduled` \| [^|]* \| a share of `s`, every fourth step \| [^|]*; `maxShare` 0\.25 /);
    expect(fed({ kind: "noise" })).toMatchObject({ maxShare: 0.5 });
    expect(method).toContain("`s` falls from 0.5 to 0 |");
  });

  it("data", () => {
    // Whose stage 1 takes conditions on any grid.
    const data = (given: object) =>
      parseConfig({ ...presets.words, data: given as ConfigInput["data"] }, "words").data as unknown as Numbers;
    const folder = { name: "folder", path: "/data", size: 32 };
    const said = read("docs/data.md");
    expect(said).toContain(`\`boxes\` (${data({ ...folder, condition: "layout", classes: ["a"] }).boxes})`);
    expect(said).toContain(`\`length\` in bytes (${data({ ...folder, condition: "text" }).length})`);
    const { bands, frames } = data({ ...folder, condition: "audio" });
    expect(said).toContain(`\`bands\` (${bands}), \`frames\` of 20 ms (${frames})`);
    const cub = { name: "cub-200-2011", path: "/data", size: 32, condition: "text" };
    expect(said).toContain(`up to \`length\` bytes (${data(cub).length})`);
    const { count } = data({ name: "faces", size: 32, condition: "lines" });
    for (const row of said.split("\n").filter((line) => line.includes("any number")))
      expect(row).toContain(`any number (${count!.toLocaleString("en-US")})`);
  });
});
