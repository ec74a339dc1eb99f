// The settings as Python and Keras write them: the lines to copy, and a layer's own description.

import { STRINGS, axes } from "./arithmetic.mjs";

const PADS = {
  zeros: "ZeroPad2d",
  reflect: "ReflectionPad2d",
  replicate: "ReplicationPad2d",
  circular: "CircularPad2d",
};
const KERAS_MODES = { reflect: "reflect", replicate: "edge", circular: "wrap" };

const pair = ([height, width]) => `(${height}, ${width})`;
const sides = ([rows, columns]) => `(${pair(rows)}, ${pair(columns)})`;

/** `kernel`, `stride` or `dilation` as the user gives it: one number, or (height, width) where they are apart. */
export function pairArgument(settings, name) {
  const value = settings[name];
  return settings.apart.includes(name) ? pair(value) : String(value[0]);
}

function paddingArgument(settings) {
  const [[top, bottom], [left, right]] = settings.sides;
  if (STRINGS.includes(settings.padding)) return `"${settings.padding}"`;
  if (settings.padding === "sides") return sides([[top, bottom], [left, right]]);
  return settings.padding === "pair" ? pair([top, left]) : String(top);
}

/** `layer.padding`: torch makes a pair of one number. */
export function paddingHeld(settings) {
  const [[top, bottom], [left, right]] = settings.sides;
  if (STRINGS.includes(settings.padding)) return settings.padding;
  return settings.padding === "sides" ? sides([[top, bottom], [left, right]]) : pair([top, left]);
}

/** str(layer), as torch describes one. */
export function layerText(settings) {
  const held = paddingHeld(settings);
  const parts = [
    settings.inChannels,
    settings.outChannels,
    `kernel_size=${pair(settings.kernel)}`,
    `stride=${pair(settings.stride)}`,
  ];
  if (held !== "(0, 0)") parts.push(`padding=${held}`);
  if (pair(settings.dilation) !== "(1, 1)") parts.push(`dilation=${pair(settings.dilation)}`);
  if (settings.groups !== 1) parts.push(`groups=${settings.groups}`);
  if (!settings.bias) parts.push("bias=False");
  if (settings.mode !== "zeros") parts.push(`padding_mode=${settings.mode}`);
  return `Conv2d(${parts.join(", ")})`;
}

/** The arguments after kernel_size that are not the default; `padding` is Python text, or null to leave it out. */
function options(settings, padding) {
  const parts = [];
  for (const name of ["stride", "dilation"]) {
    if (pairArgument(settings, name) !== "1") parts.push(`${name}=${pairArgument(settings, name)}`);
  }
  if (padding !== null) {
    if (padding !== "0") parts.splice(parts[0]?.startsWith("stride") ? 1 : 0, 0, `padding=${padding}`);
    if (settings.mode !== "zeros") parts.push(`padding_mode="${settings.mode}"`);
  }
  if (settings.groups !== 1) parts.push(`groups=${settings.groups}`);
  if (!settings.bias) parts.push("bias=False");
  return parts;
}

function layer(name, settings, padding) {
  const first = [settings.inChannels, settings.outChannels, `kernel_size=${pairArgument(settings, "kernel")}`];
  return `${name}(${[...first, ...options(settings, padding)].join(", ")})`;
}

export function tatamuLine(settings) {
  return layer("tatamu.Conv2d", settings, paddingArgument(settings));
}

function amounts(settings) {
  return axes(settings).map((axis) => [axis.before, axis.after]);
}

/** torch.nn's own layer; where it has no such padding, behind the layer of torch's that pads by these amounts. */
export function torchLine(settings) {
  if (!["sides", "same_upper", "same_lower"].includes(settings.padding)) {
    return layer("torch.nn.Conv2d", settings, paddingArgument(settings));
  }
  const [[top, bottom], [left, right]] = amounts(settings);
  const plain = layer("torch.nn.Conv2d", settings, null);
  if (top === 0 && bottom === 0 && left === 0 && right === 0) return plain;
  const pad = `torch.nn.${PADS[settings.mode]}((${left}, ${right}, ${top}, ${bottom}))`;
  return `torch.nn.Sequential(${pad}, ${plain})`;
}

/** Whether the torch line has amounts in it that hold for this input size alone. */
export function torchHoldsForThisSize(settings) {
  return ["same_upper", "same_lower"].includes(settings.padding) && Math.max(...settings.stride) > 1;
}

/** Keras 3, channels last; null where Keras refuses: a stride together with a dilation. */
export function kerasLine(settings) {
  if (Math.max(...settings.stride) > 1 && Math.max(...settings.dilation) > 1) return null;
  const named = { valid: '"valid"', same: '"same"', same_upper: '"same"' }[settings.padding];
  const [rows, columns] = amounts(settings);
  const none = [...rows, ...columns].every((amount) => amount === 0);
  const known = settings.mode === "zeros" && named && !none;
  const parts = [settings.outChannels, `kernel_size=${pairArgument(settings, "kernel")}`];
  if (pairArgument(settings, "stride") !== "1") parts.push(`strides=${pairArgument(settings, "stride")}`);
  if (known) parts.push(`padding=${named}`);
  if (pairArgument(settings, "dilation") !== "1") {
    parts.push(`dilation_rate=${pairArgument(settings, "dilation")}`);
  }
  if (settings.groups !== 1) parts.push(`groups=${settings.groups}`);
  if (!settings.bias) parts.push("use_bias=False");
  const convolution = `keras.layers.Conv2D(${parts.join(", ")})`;
  if (none || known) return convolution;
  const pads =
    settings.mode === "zeros"
      ? `keras.layers.ZeroPadding2D(${sides([rows, columns])})`
      : `keras.layers.Lambda(lambda x: keras.ops.pad(x, ((0, 0), ${pair(rows)}, ${pair(columns)}, (0, 0)), ` +
        `mode="${KERAS_MODES[settings.mode]}"))`;
  return `keras.Sequential([${pads}, ${convolution}])`;
}
