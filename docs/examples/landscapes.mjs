import { mkdirSync } from "node:fs";
import sharp from "sharp";

const COUNT = Number(process.argv[2] ?? 2000);
const CLASSES = {
  sky: "#8ecae6",
  sun: "#ffb703",
  mountain: "#6c757d",
  meadow: "#70a288",
  lake: "#3a5a9b",
  house: "#9b2226",
};
const SKIES = ["#bfe3f5", "#f5c6a5", "#1d2545", "#d9d9e3"]; // day, dusk, night, fog
const SUNS = ["#fff3b0", "#ff7b54", "#f1f3f8", "#ffffff"];
const MOUNTAINS = ["#7a7f87", "#9c6644", "#4a5a49"];
const MEADOWS = ["#6a994e", "#c9b458", "#e8edf0"]; // summer, autumn, winter
const HOUSES = ["#bc4749", "#f2e8cf", "#34495e", "#e09f3e"];

const between = (low, high) => Math.round(low + Math.random() * (high - low));
const oneOf = (list) => list[between(0, list.length - 1)];

/** The same shapes in any colors: once in those of the classes, once in those of a picture. */
function shapes() {
  const horizon = between(60, 80);
  const sun = `cx="${between(10, 118)}" cy="${between(10, 50)}" r="${between(9, 15)}"`;
  const peaks = [-10, 20, 50, 80, 110, 138].map((x) => `${x},${horizon - between(0, 40)}`).join(" ");
  const shore = between(95, 112);
  const [x, width] = [between(10, 90), between(20, 32)];
  const house = `M${x} ${shore} v-14 l${width / 2} -10 l${width / 2} 10 v14 Z`;
  const withHouse = Math.random() < 0.7;
  return (color, extra = "") => `<svg xmlns="http://www.w3.org/2000/svg" width="128" height="128" ${extra}>
    <rect width="128" height="128" fill="${color.sky}"/><circle ${sun} fill="${color.sun}"/>
    <polygon points="-10,${horizon} ${peaks} 138,${horizon}" fill="${color.mountain}"/>
    <rect y="${horizon}" width="128" height="68" fill="${color.meadow}"/>
    <rect y="${shore}" width="128" height="40" fill="${color.lake}"/>
    ${withHouse ? `<path d="${house}" fill="${color.house}"/>` : ""}</svg>`;
}

mkdirSync("landscapes/condition", { recursive: true });
mkdirSync("landscapes/image", { recursive: true });
for (let i = 0; i < COUNT; i++) {
  const draw = shapes();
  const time = between(0, 3);
  const lake = oneOf(["#4f86c6", "#2a4d69", "#7fb7be"]);
  const color = {
    sky: SKIES[time],
    sun: SUNS[time],
    mountain: oneOf(MOUNTAINS),
    meadow: oneOf(MEADOWS),
    lake,
    house: oneOf(HOUSES),
  };
  const save = (svg, folder) => sharp(Buffer.from(svg)).removeAlpha().png().toFile(`landscapes/${folder}/${i}.png`);
  await save(draw(CLASSES, 'shape-rendering="crispEdges"'), "condition");
  await save(draw(color), "image");
}
