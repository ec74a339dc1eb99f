// What is said in numbers: the verdict, the formula of each axis, the facts, the sum that makes one output value.

import {
  axes,
  channelsRead,
  counts,
  effectiveKernel,
  formula,
  outputSize,
  unread,
} from "./arithmetic.mjs";
import { channelMap } from "./channels.mjs";
import { byId, element, setText } from "./elements.mjs";
import { format } from "./scene.mjs";
import { biasNumber, channelsSum, kernelOf, products } from "./weights.mjs";

const MOST_TERMS = 25; // Longer sums are given as their result alone.
const MOST_CHANNELS = 4;

const minus = (text) => text.replaceAll("-", "−");

/** The shapes, or the sentence of the mistake. */
export function showVerdict(settings, mistake, words) {
  const node = byId("verdict");
  const before = node.textContent;
  let parts;
  if (mistake) {
    parts = [
      element("strong", { textContent: words.mistake }),
      element("p", { className: "sentence", lang: "en", textContent: mistake.sentence }),
      element("p", { className: "gloss", textContent: words.glossary[mistake.rule] ?? "" }),
    ];
  } else {
    const [rows, columns] = axes(settings);
    const input = [settings.channels, rows.size, columns.size].join(" × ");
    const output = [settings.outChannels, outputSize(rows), outputSize(columns)].join(" × ");
    parts = [
      element("span", { className: "unseen", textContent: words.shapeSpoken(input, output) }),
      element("span", { className: "shapes", ariaHidden: "true" }, [
        element("span", { className: "blue-ink", textContent: input }),
        element("span", { className: "arrow", textContent: " → " }),
        element("span", { className: "green-ink", id: "output-shape", textContent: output }),
      ]),
      element("span", { className: "order", ariaHidden: "true", textContent: words.order }),
    ];
  }
  if (parts.map((part) => part.textContent).join("") === before) return;
  node.classList.toggle("mistake", Boolean(mistake));
  node.replaceChildren(...parts);
}

/** The formula with the numbers, for each axis, and what follows from it. */
export function showFormulas(settings, mistake, words) {
  const both = axes(settings);
  const lines = both.flatMap((axis) => [
    element("dt", { textContent: words[axis.name] }),
    element("dd", { textContent: axis.stride > 0 ? minus(formula(axis)) : "—", className: mistake ? "wrong" : "" }),
  ]);
  byId("formulas").replaceChildren(...lines);
  const facts = mistake ? [] : factsOf(settings, both, words);
  byId("facts").replaceChildren(
    ...facts.flatMap(([key, text]) => [
      element("dt", { textContent: words.facts[key] }),
      element("dd", { textContent: text, id: `fact-${key}` }),
    ]),
  );
}

function factsOf(settings, both, words) {
  const { parameters, macs } = counts(settings);
  const [rows, columns] = both.map((axis) => axis.size - unread(axis, settings.mode).length);
  const skipped = settings.size[0] * settings.size[1] - rows * columns;
  return [
    ["parameters", parameters.toLocaleString("en")],
    ["macs", macs.toLocaleString("en")],
    ["field", words.pixels(...both.map(effectiveKernel))],
    ["unread", skipped.toLocaleString("en")],
  ];
}

/** The products and sums that make the output value that is shown. */
export function showSum(settings, view, words) {
  const [first, end] = channelsRead(settings, view.channel);
  const { divisor } = kernelOf(settings);
  const lines = [];
  const sums = [];
  for (let channel = first; channel < Math.min(end, first + MOST_CHANNELS); channel += 1) {
    const terms = products(settings, channel, view.row, view.column);
    const total = terms.reduce((sum, { x, w }) => sum + x * w, 0);
    sums.push(total);
    const worth = terms.filter(({ w }) => w !== 0);
    const text =
      channel === first && worth.length <= MOST_TERMS
        ? `${worth.map(({ x, w }) => `${x}·${w < 0 ? `(${format(w)})` : w}`).join(" + ") || "0"} = ${format(total)}`
        : format(total);
    lines.push([words.sumChannel(channel), text]);
  }
  if (end - first > MOST_CHANNELS) {
    const rest = channelsSum(settings, [first + MOST_CHANNELS, end], view.row, view.column);
    sums.push(rest);
    lines.push([words.sumOthers(first + MOST_CHANNELS, end - 1), format(rest)]);
  }
  const bias = biasNumber(settings, view.channel);
  if (settings.bias) lines.push([words.bias, String(bias)]);
  const total = sums.reduce((sum, value) => sum + value, 0);
  const joined = sums.map((value) => (value < 0 ? `(${format(value)})` : format(value))).join(" + ") || "0";
  const divided = divisor === 1 ? joined : `(${joined}) / ${divisor}`;
  const value = total / divisor + bias;
  lines.push([
    `y[${view.channel}, ${view.row}, ${view.column}]`,
    `${divided}${settings.bias ? ` + ${bias}` : ""} = ${format(value)}`,
  ]);
  const list = element("dl", {}, lines.flatMap(([name, text], i) => [
    element("dt", { textContent: name }),
    element("dd", { textContent: text, className: i === lines.length - 1 ? "total" : "" }),
  ]));
  byId("sums").replaceChildren(list);
}

/** Which channels the chosen one reads. */
export function showChannels(settings, channel, words) {
  const root = byId("channel-map");
  const shown = [settings.inChannels, settings.outChannels, settings.groups, channel, innerWidth].join();
  if (root.dataset.shown !== shown) {
    root.dataset.shown = shown; // Every position that is drawn comes here, and measuring is slow.
    root.innerHTML = channelMap(settings, channel, Math.max(root.clientWidth, 200));
  }
  const [first, end] = channelsRead(settings, channel);
  const of = settings.inChannels;
  setText(byId("channel-text"), end > first ? words.channelReads(channel, first, end - 1, of) : "");
  const slider = byId("channel");
  slider.max = settings.outChannels - 1;
  slider.value = channel;
  byId("channel-value").textContent = channel;
}
