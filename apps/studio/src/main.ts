import "@fontsource-variable/instrument-sans/wght.css";
import "./style.css";
import { byId, h } from "./dom.ts";
import { Studio } from "./studio.ts";

const failed = (error: unknown) => {
  const text = error instanceof Error ? error.message : String(error);
  byId("notice", HTMLElement).replaceChildren(h("p", { class: "fault", role: "alert" }, text));
};

new Studio().open().catch(failed);
