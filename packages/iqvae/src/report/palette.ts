/** Told apart by people who see colors differently, too (Okabe & Ito 2008), and visible on light and dark. */
export const COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8f3c", "#7f7f7f"] as const;

/** The color of a run, or of an arm: further ones are spread over the circle of hues by the golden angle, so that neighbors differ. */
function colorOf(index: number): string {
  return COLORS[index] ?? `hsl(${Math.round((210 + 137.5 * index) % 360)} 65% 50%)`;
}

/**
 * Style of what is drawn of so many runs. Their names and figures are text, which has to be read, so a swatch before it has the
 * color.
 */
export function runStyle(count: number): string {
  const rules = Array.from({ length: count }, (_, i) => {
    const color = colorOf(i);
    return `polyline.run${i} { stroke: ${color}; } circle.run${i} { fill: ${color}; } span.run${i}::before, th.run${i}::before { background: ${color}; }`;
  });
  return `span[class^="run"], th[class^="run"] { color: var(--ink); }
span[class^="run"]::before, th[class^="run"]::before { content: ""; display: inline-block; width: 14px; height: 3px; margin-right: 7px; border-radius: 2px;
  vertical-align: middle; }
.newest, .legend { flex-wrap: wrap; }
${rules.join("\n")}
`;
}
