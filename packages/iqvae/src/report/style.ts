/** The style sheet of a report: light or dark as the reader's system is. */
export const STYLE = `
:root { color-scheme: light dark; --ground: #fbfbfa; --card: #ffffff; --ink: #1d2129; --soft: #667085; --line: #e4e7ec;
  --train: #3563c9; --validation: #b45309; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14161a; --card: #1d2026; --ink: #e8eaee; --soft: #98a1b0; --line: #30353f;
    --train: #82a9ff; --validation: #ffa25c; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1120px; padding: 40px 24px 64px; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { margin: 0; font-size: 28px; letter-spacing: -0.01em; }
h2 { margin: 44px 0 14px; font-size: 19px; }
p { margin: 6px 0 0; } .soft, figcaption i { color: var(--soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(160px, 1fr)); gap: 12px; margin-top: 24px; }
.tile, .chart, .picture { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.tile { padding: 14px 16px; } .tile b { display: block; font-size: 23px; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 13px; }
.picture { margin: 0; padding: 14px; overflow-x: auto; } .picture img { display: block; max-width: 100%; height: auto;
  border-radius: 4px; }
.picture figcaption { margin-bottom: 10px; color: var(--soft); font-size: 13.5px; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(320px, 1fr)); gap: 14px; }
.chart { margin: 0; padding: 12px 12px 6px; } .chart figcaption { display: flex; gap: 6px; align-items: baseline;
  font-size: 13.5px; } .chart i { font-style: normal; font-size: 12.5px; }
.newest { margin-left: auto; display: flex; gap: 10px; font-variant-numeric: tabular-nums; font-weight: 600; }
.chart svg { display: block; width: 100%; height: auto; }
polyline { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
polyline.train { stroke: var(--train); } polyline.validation { stroke: var(--validation); }
circle.train { fill: var(--train); } circle.validation { fill: var(--validation); }
span.train { color: var(--train); } span.validation { color: var(--validation); }
.grid { stroke: var(--line); stroke-width: 1; } .tick { fill: var(--soft); font-size: 10.5px; }
.legend { display: flex; gap: 18px; margin: 0 0 12px; color: var(--soft); font-size: 13.5px; }
.legend span::before { content: ""; display: inline-block; width: 14px; height: 3px; margin-right: 7px; border-radius: 2px;
  vertical-align: middle; background: currentColor; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(320px, 1fr)); gap: 14px 32px; }
table { width: 100%; border-collapse: collapse; font-size: 13.5px; align-self: start; }
th, td { padding: 5px 8px 5px 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { color: var(--soft); font-weight: 500; } td { font-variant-numeric: tabular-nums; word-break: break-word; }
`;
