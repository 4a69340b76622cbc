import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { filesOfRepository, root } from "./documents.ts";

/** Stems whose British form ends in -ise, -ised, -ising, -isation, or -iser. */
const STEMS =
  "binar|capital|categor|central|character|custom|discret|emphas|equal|final|general|global|initial|local|material|maxim|memor|minim|" +
  "modern|normal|optim|organ|parallel|penal|priorit|quant|random|raster|real|recogn|regular|sanit|serial|special|stabil|standard|summar|" +
  "symbol|synchron|synthes|token|util|vector|visual";

const BRITISH = new RegExp(
  [
    `(?:${STEMS})is(?:e|ed|es|ing|er|ers|ation|ations)\\b`,
    "colour|neighbour|behaviour|favour|honour|flavour|armour|\\bgrey|licence|defence|offence|pretence",
    "\\b(?:epi)?centr(?:e|es|ed|ing)\\b|metres?\\b|\\bfibre|\\bcalibre|theatre|spectre",
    "analys(?:e|ed|es|ing)\\b|catalogue|dialogue\\b|artefact|judgement|programme\\b|whilst|\\blearnt\\b|\\bspelt\\b|sceptic|practis|fulfil\\b|aluminium",
    "labell(?:ed|ing)\\b|modell(?:ed|ing)\\b|travell|cancell(?:ed|ing)\\b|signall(?:ed|ing)\\b",
    "\\b(?:to|after|back|for|up|down)wards\\b",
  ].join("|"),
  "gi",
);

/** What looks British and has to stay. */
const KEPT = [
  "face colours", // seeds the colors of faces: another word would draw other faces
  "--towards-seed", // an option that users have
  "aria-labelledby", // of HTML
  "grey16", // of sharp
  "stage1.regulariser", // what a message corrects
  '"regulariser"',
  "`normalise`", // the changelog names the old key
  "`normalised()`",
  "Geosphere-Biosphere Programme", // its name
];

/** What people write here. */
const TEXT = /(?:\.(?:m?[jt]s|md|json|py|cc|c|h|css|html|txt)|^LICENSE|^\.ci\/run)$/;
/** Texts of others, and what programs wrote. */
const FOREIGN = /package-lock\.json$|^docs\/data\/|^(?:samples|report)\.|engines\/kernels\.ts$|\/goldens\//;

it("the source, the documents, and public names are in American English", () => {
  const found = filesOfRepository()
    .filter((path) => TEXT.test(path) && !FOREIGN.test(path) && !path.endsWith("docs/spelling.test.ts"))
    .flatMap((path) => {
      let text = readFileSync(join(root, path), "utf8");
      for (const kept of KEPT) text = text.replaceAll(kept, "");
      return [...text.matchAll(BRITISH)].map(
        (match) => `${path}:${text.slice(0, match.index).split("\n").length}: ${match[0]}`,
      );
    });
  expect(found).toEqual([]);
});

it("finds British words, and lets American ones pass", () => {
  const found = (text: string) => text.match(BRITISH) ?? [];
  expect(
    found("The colour of the centre is normalised, and the optimiser travelled towards grey licences."),
  ).toHaveLength(8);
  expect(
    found("The color of the center is normalized; precise noise, a promise, exercise, raise, and an advised premise."),
  ).toEqual([]);
});
