// What can be set on the page, its limits, and its form in the address: #in=3x7x7&out=4&k=3&s=2&p=1

import { MODES, STRINGS } from "./arithmetic.mjs";
import { PICTURES } from "./pictures.mjs";
import { PRESETS } from "./weights.mjs";

/** Least and greatest value of each number: just beyond what is right, so that one sees what is said then. */
export const LIMITS = {
  size: [0, 256],
  channels: [0, 1024],
  kernel: [0, 31],
  stride: [0, 16],
  dilation: [0, 16],
  sides: [-1, 31],
  groups: [0, 1024],
};

/** How `padding` is given: a number, (height, width), four sides, or one of the strings. */
export const PADDINGS = ["int", "pair", "sides", ...STRINGS];

/** The names of the pairs that can be one number or (height, width). */
export const PAIRS = ["kernel", "stride", "dilation"];

/** Settings as the page opens. All pairs are (height, width). */
export function defaults() {
  return {
    channels: 3,
    size: [7, 7],
    inChannels: 3,
    outChannels: 4,
    kernel: [3, 3],
    stride: [2, 2],
    dilation: [1, 1],
    apart: [], // Those of PAIRS, and "size", whose height and width are set apart.
    padding: "int",
    sides: [
      [1, 1],
      [1, 1],
    ],
    groups: 1,
    bias: true,
    mode: "zeros",
    weights: "sobelX",
    picture: "mountain",
    depthwise: true,
  };
}

/** The address's part after #; what is as torch has it by default, or as the page opens with, is left out. */
export function toHash(settings) {
  const [[top, bottom], [left, right]] = settings.sides;
  const given = {
    int: String(top),
    pair: `${top}x${left}`,
    sides: `${top}_${bottom}x${left}_${right}`,
  };
  const usual = defaults();
  const words = {
    in: [settings.channels, ...settings.size].join("x"),
    c: settings.inChannels === settings.channels ? null : settings.inChannels,
    out: settings.outChannels,
    k: pairWord(settings, "kernel"),
    s: pairWord(settings, "stride"),
    p: given[settings.padding] ?? settings.padding,
    d: unless(pairWord(settings, "dilation"), "1"),
    g: unless(settings.groups, usual.groups),
    bias: settings.bias ? null : 0,
    mode: unless(settings.mode, usual.mode),
    w: unless(settings.weights, usual.weights),
    picture: unless(settings.picture, usual.picture),
    depthwise: settings.depthwise ? null : 0,
  };
  return Object.entries(words)
    .filter(([, word]) => word !== null)
    .map(([key, word]) => `${key}=${word}`)
    .join("&");
}

const unless = (value, usual) => (value === usual ? null : value);

function pairWord(settings, name) {
  const [height, width] = settings[name];
  return settings.apart.includes(name) ? `${height}x${width}` : String(height);
}

/** The settings an address stands for; what is missing or makes no sense in it is as in `defaults`. */
export function fromHash(hash) {
  const settings = defaults();
  const words = new URLSearchParams(hash.replace(/^#/, ""));
  const input = numbers(words.get("in"), "x");
  if (input?.length === 3) {
    settings.channels = limited("channels", input[0]);
    settings.size = input.slice(1).map((value) => limited("size", value));
    settings.inChannels = settings.channels;
  }
  for (const [key, field, limit] of [
    ["c", "inChannels", "channels"],
    ["out", "outChannels", "channels"],
    ["g", "groups", "groups"],
  ]) {
    const [value] = numbers(words.get(key), "x") ?? [];
    if (value !== undefined) settings[field] = limited(limit, value);
  }
  if (settings.channels !== settings.inChannels) settings.apart.push("channels");
  if (settings.size[0] !== settings.size[1]) settings.apart.push("size");
  for (const name of PAIRS) {
    const values = numbers(words.get(name[0]), "x");
    if (!values || values.length > 2) continue;
    settings[name] = [values[0], values.at(-1)].map((value) => limited(name, value));
    if (values.length === 2) settings.apart.push(name);
  }
  readPadding(settings, words.get("p"));
  if (words.has("bias")) settings.bias = words.get("bias") !== "0";
  if (words.has("depthwise")) settings.depthwise = words.get("depthwise") !== "0";
  for (const [key, field, known] of [
    ["mode", "mode", MODES],
    ["w", "weights", Object.keys(PRESETS)],
    ["picture", "picture", Object.keys(PICTURES)],
  ]) {
    if (known.includes(words.get(key))) settings[field] = words.get(key);
  }
  return settings;
}

function readPadding(settings, word) {
  if (word === null) return;
  if (STRINGS.includes(word)) {
    settings.padding = word;
    return;
  }
  const values = word.split("x").map((side) => numbers(side, "_"));
  if (values.length > 2 || values.some((side) => !side || side.length > 2)) return;
  const four = values.some((side) => side.length === 2);
  if (four && values.length === 1) return;
  settings.padding = four ? "sides" : values.length === 2 ? "pair" : "int";
  settings.sides = [values[0], values.at(-1)].map((side) =>
    [side[0], side.at(-1)].map((value) => limited("sides", value)),
  );
}

/** The value, or the nearest that its limits allow. */
export function limited(name, value) {
  const [least, greatest] = LIMITS[name];
  return Math.min(Math.max(value, least), greatest);
}

function numbers(text, separator) {
  const parts = text?.split(separator) ?? [];
  return parts.length && parts.every((part) => /^-?\d{1,6}$/.test(part)) ? parts.map(Number) : null;
}
