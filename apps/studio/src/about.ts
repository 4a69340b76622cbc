import type { Bundle } from "@iqvae/runtime";
import type { Token, Tokens } from "marked";
import { byId, h } from "./dom.ts";
import { FRONT_MATTER } from "./front-matter.ts";
import { icon } from "./icons.ts";

/** Opens the card of a model: data, licenses, figures, limits. @param card the text of its `README.md` */
export async function showCard(model: Bundle, card: Promise<string>): Promise<void> {
  const dialog = byId("card", HTMLDialogElement);
  const body = h("div", { class: "card-body" }, h("p", {}, "One moment…"));
  const close = h(
    "button",
    { type: "button", class: "tool", "aria-label": "Close", click: () => dialog.close() },
    icon("close"),
  );
  dialog.replaceChildren(h("div", { class: "panel-head" }, h("h2", {}, `About ${model.name}`), close), body);
  dialog.showModal();
  try {
    const text = (await card).replace(FRONT_MATTER, "");
    const { marked } = await import("marked");
    const own = h(
      "p",
      { class: "note" },
      "This page: MIT. ",
      h("a", { href: "licenses.txt" }, "What it has from others"),
    );
    body.replaceChildren(...blocks(marked.lexer(text)), own);
  } catch (error) {
    body.replaceChildren(h("p", {}, `The card cannot be shown: ${(error as Error).message}`));
  }
}

/** Elements for the tokens of a text in Markdown. HTML in it is shown as text: a card may come from anywhere. */
function blocks(tokens: readonly Token[]): (Node | string)[] {
  return tokens.flatMap((token): (Node | string)[] => {
    switch (token.type) {
      case "heading":
        return (token as Tokens.Heading).depth === 1 ? [] : [h("h3", {}, ...inline((token as Tokens.Heading).tokens))];
      case "paragraph": {
        const children = inline((token as Tokens.Paragraph).tokens);
        return children.length === 0 ? [] : [h("p", {}, ...children)];
      }
      case "code":
        return [h("pre", { tabindex: 0 }, (token as Tokens.Code).text)];
      case "blockquote":
        return [h("blockquote", {}, ...blocks((token as Tokens.Blockquote).tokens))];
      case "list":
        return [h("ul", {}, ...(token as Tokens.List).items.map((item) => h("li", {}, ...blocks(item.tokens))))];
      case "text":
        return inline((token as Tokens.Text).tokens ?? [token]);
      case "table":
        return [table(token as Tokens.Table)];
      default:
        return [];
    }
  });
}

function table({ header, rows }: Tokens.Table): Node {
  const cells = (row: readonly Tokens.TableCell[], tag: "th" | "td") =>
    h("tr", {}, ...row.map((cell) => h(cell.text === "" ? "td" : tag, {}, ...inline(cell.tokens))));
  const head = header.some(({ text }) => text !== "") ? [h("thead", {}, cells(header, "th"))] : [];
  return h(
    "div",
    { class: "scroll", tabindex: 0 },
    h("table", {}, ...head, h("tbody", {}, ...rows.map((row) => cells(row, "td")))),
  );
}

function inline(tokens: readonly Token[] = []): (Node | string)[] {
  return tokens.flatMap((token): (Node | string)[] => {
    switch (token.type) {
      case "codespan":
        return [h("code", {}, (token as Tokens.Codespan).text)];
      case "strong":
        return [h("strong", {}, ...inline((token as Tokens.Strong).tokens))];
      case "em":
        return [h("em", {}, ...inline((token as Tokens.Em).tokens))];
      case "link": {
        const { href, tokens: children } = token as Tokens.Link;
        return /^https?:/.test(href) ? [h("a", { href, rel: "noreferrer" }, ...inline(children))] : inline(children);
      }
      case "image":
        return [];
      default:
        return [(token as Tokens.Text).text ?? token.raw];
    }
  });
}
