import "@fontsource-variable/instrument-sans/wght.css";
import "./style/base.css";
import "./style/layout.css";
import "./style/editors.css";
import "./style/results.css";
import "./style/forced-colors.css";
import { byId, h } from "./dom.ts";
import { Studio } from "./studio.ts";

new Studio().open().catch((error: Error) => {
  byId("fault", HTMLElement).replaceChildren(h("p", {}, error.message));
});
