const SVG = "http://www.w3.org/2000/svg";

/** Strokes in a square of 24. */
const PATHS = {
  brush: "M20 4c-5 2-9 6-11 10l1.5 1.5C14.5 13 18 9 20 4ZM8.5 15c-2.5 0-3 1.5-3 3 0 1-.8 1.6-1.5 2 3 .8 6.5 0 6.5-3.2",
  pencil: "M4 20l1-4L16.5 4.5l3 3L8 19l-4 1ZM14 7l3 3",
  fill: "M10 4l8.5 8.5-6 6a2 2 0 0 1-3 0l-5-5a2 2 0 0 1 0-3L11 4M5 12h13M20.5 16.5c1 1.5 1 3 0 3s-1-1.5 0-3Z",
  eraser:
    "M9 19l-4.5-4.5a1.5 1.5 0 0 1 0-2L12.5 4.5a1.5 1.5 0 0 1 2 0l5 5a1.5 1.5 0 0 1 0 2L12 19H9ZM9 8.5l6.5 6.5M9 19h11",
  undo: "M8 5L4 9l4 4M4 9h10a5 5 0 0 1 0 10H9",
  redo: "M16 5l4 4-4 4M20 9H10a5 5 0 0 0 0 10h5",
  clear: "M5 7h14M10 7V4.5h4V7M7 7l.8 12.5h8.400L17 7M10.5 11v5M13.5 11v5",
  dice: "M5 5h14v14H5ZM9 9h.01M15 9h.01M12 12h.01M9 15h.01M15 15h.01",
  lock: "M6 11h12v9H6ZM9 11V8a3 3 0 0 1 6 0v3",
  unlock: "M6 11h12v9H6ZM9 11V7a3 3 0 0 1 5.8-1",
  download: "M12 4v11M7.5 11l4.5 4.5L16.5 11M5 20h14",
  link: "M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3L12 6.3M14 10a4 4 0 0 0-5.7 0l-3 3A4 4 0 0 0 11 18.7l1-1",
  like: "M5 5h6v6H5ZM13 5h6v6h-6ZM5 13h6v6H5ZM16 13v6M13 16h6",
  mask: "M4 8V4h4M16 4h4v4M20 16v4h-4M8 20H4v-4M9 9h6v6H9Z",
  photo: "M4 6h16v13H4ZM4 16l5-5 4 4 3-3 4 4M15.5 9.5h.01",
  info: "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17ZM12 11v5M12 8h.01",
  theme: "M12 3.5a8.5 8.5 0 1 0 0 17ZM12 3.5a8.5 8.5 0 0 1 0 17",
  record: "M12 4a2.5 2.5 0 0 1 2.5 2.5v5a2.5 2.5 0 0 1-5 0v-5A2.5 2.5 0 0 1 12 4ZM6.5 11.5a5.5 5.5 0 0 0 11 0M12 17v3",
  stop: "M7 7h10v10H7Z",
  folder: "M4 7V5.5h5L11 8h9v11H4Z",
  back: "M11 5l-6 7 6 7M5 12h14",
  plus: "M12 5v14M5 12h14",
  close: "M6 6l12 12M18 6L6 18",
  semantic: "M4 4h16v16H4ZM4 14c3-3 5-1 8-3s4-4 8-3",
  lines: "M4 17c3-8 5-11 7-10s-2 9 1 10 4-7 8-8",
  keypoints: "M12 5.5h.01M6 11h.01M18 11h.01M9 19h.01M15 19h.01M12 6l-6 5M12 6l6 5M12 6v7l-3 6M12 13l3 6",
  layout: "M4 5h9v8H4ZM10 10h10v9H10Z",
  text: "M5 7V5h14v2M12 5v14M9.5 19h5",
  audio: "M4 10v4M8 7v10M12 4v16M16 8v8M20 10.5v3",
} as const;

export type IconName = keyof typeof PATHS;

/** A picture of an act; what it does has to stand beside it, or in the label of its button. */
export function icon(name: IconName): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}
