// The lines to copy: the layer in PyTorch, tatamu and Keras, and the link to what is set.

import { byId, element } from "./elements.mjs";
import { kerasLine, tatamuLine, torchHoldsForThisSize, torchLine } from "./python.mjs";

const KINDS = ["PyTorch", "tatamu", "Keras", "link"];

/** Makes them. Returns a function (settings, words, link) that shows them. */
export function makeLines() {
  let words = null;
  const rows = KINDS.map((kind) => {
    const name = element("h3");
    const text = element("code", { id: `line-${kind.toLowerCase()}`, tabIndex: 0, lang: "en" });
    const button = element("button", { type: "button", id: `copy-${kind.toLowerCase()}` });
    const note = element("p", { className: "note" });
    button.addEventListener("click", async () => {
      byId("copy-status").textContent = "";
      try {
        await navigator.clipboard.writeText(text.textContent);
        byId("copy-status").textContent = words.copied;
      } catch {
        getSelection().selectAllChildren(text);
        byId("copy-status").textContent = words.copyFailed;
      }
    });
    const line = element("div", { className: "line" }, [text, button]);
    byId("lines").append(element("div", {}, [name, line, note]));
    return { name, text, button, note, line };
  });

  return (settings, nextWords, link) => {
    words = nextWords;
    const shown = {
      PyTorch: [torchLine(settings), torchNote(settings)],
      tatamu: [tatamuLine(settings), ""],
      Keras: [kerasLine(settings), kerasNote(settings)],
      link: [link, words.shareText],
    };
    KINDS.forEach((kind, i) => {
      const [text, note] = shown[kind];
      const { name, button, line } = rows[i];
      const label = kind === "link" ? words.share : kind;
      name.textContent = label;
      rows[i].text.textContent = text ?? "";
      rows[i].text.setAttribute("aria-label", label);
      line.hidden = text === null;
      rows[i].note.textContent = note;
      button.textContent = words.copy;
      button.setAttribute("aria-label", words.copyOf(kind === "link" ? words.link : kind));
    });
  };

  function torchNote(settings) {
    if (torchHoldsForThisSize(settings)) return words.torchSize(...settings.size);
    return torchLine(settings).includes("Sequential") ? words.torchSides : "";
  }

  function kerasNote(settings) {
    const line = kerasLine(settings);
    if (line === null) return words.kerasRefuses;
    return /mode="(edge|wrap)"/.test(line) ? `${words.kerasLast} ${words.kerasWrap}` : words.kerasLast;
  }
}
