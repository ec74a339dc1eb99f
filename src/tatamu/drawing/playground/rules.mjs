// Whether settings make a convolution: the checks of tatamu.validate, in their order.

import { STRINGS, axes, effectiveKernel, padded } from "./arithmetic.mjs";
import * as messages from "./messages.mjs";
import { layerText, pairArgument, paddingHeld } from "./python.mjs";

/**
 * The first rule that is broken, or null: { rule, sentence, fields }. `sentence` is what the layer raises, `fields`
 * the settings to blame.
 */
export function mistake(settings) {
  const made = whenMade(settings);
  if (made) return made;
  const called = whenCalled(settings, settings.size);
  return called && { ...called, sentence: `${called.sentence} (in layer ${layerText(settings)})` };
}

/** The same for a picture with as many channels as the layer takes: whether it fits. */
export function mistakeOnPicture(settings, size) {
  const input = [1, settings.inChannels, ...size];
  return stridedSameMistake(settings) ?? argumentsMistake(settings) ?? fitMistake(settings, input);
}

function broken(rule, fields, ...values) {
  return { rule, fields, sentence: messages[rule](...values) };
}

function whenMade(settings) {
  const { groups, inChannels, outChannels } = settings;
  if (groups <= 0) return broken("groups", ["groups"], groups);
  for (const [field, name, channels] of [
    ["inChannels", "in_channels", inChannels],
    ["outChannels", "out_channels", outChannels],
  ]) {
    if (channels % groups) {
      return broken("channelsNotDivisible", [field, "groups"], name, channels, groups);
    }
  }
  return stridedSameMistake(settings);
}

function stridedSameMistake(settings) {
  if (settings.padding !== "same" || settings.stride.every((step) => step === 1)) return null;
  return broken("stridedSame", ["padding", "stride"], pairArgument(settings, "stride"));
}

function whenCalled(settings, size) {
  const input = [1, settings.channels, ...size];
  return argumentsMistake(settings) ?? sizesMistake(settings, input) ?? fitMistake(settings, input);
}

function argumentsMistake(settings) {
  const { stride, dilation, kernel, padding } = settings;
  if (!STRINGS.includes(padding) && Math.min(...settings.sides.flat()) < 0) {
    return broken("negativePadding", ["padding"], paddingHeld(settings));
  }
  if (Math.min(...stride) <= 0) return broken("stride", ["stride"], stride);
  if (Math.min(...dilation) <= 0) return broken("dilation", ["dilation"], dilation);
  if (Math.min(...kernel) <= 0) return broken("kernelSize", ["kernel"], kernel);
  return null;
}

function sizesMistake(settings, input) {
  const { groups, inChannels, outChannels, kernel } = settings;
  const weight = [outChannels, inChannels / groups, ...kernel];
  if (outChannels < groups) return broken("noOutputChannels", ["outChannels"], weight, groups);
  if (input[1] !== inChannels) {
    return broken("inputChannels", ["channels", "inChannels"], input, weight, groups);
  }
  return null;
}

function fitMistake(settings, input) {
  const { mode } = settings;
  const size = input.slice(2);
  if ((mode === "reflect" || mode === "replicate") && Math.min(...size) <= 0) {
    return broken("emptyPaddedInput", ["size"], input);
  }
  const both = axes(settings, size);
  for (const [i, axis] of both.entries()) {
    const amounts = [axis.before, axis.after];
    if (mode === "reflect" && Math.max(...amounts) >= axis.size) {
      return broken("reflectPadding", ["padding", "mode", "size"], i, amounts, input);
    }
    if (mode === "circular" && Math.max(...amounts) > axis.size) {
      return broken("circularPadding", ["padding", "mode", "size"], i, amounts, input);
    }
  }
  if (both.some((axis) => padded(axis) < effectiveKernel(axis))) {
    const fields = ["kernel", "dilation", "padding", "size"];
    return broken("kernelTooLarge", fields, both.map(padded), both.map(effectiveKernel));
  }
  if (Math.min(...size) <= 0) return broken("emptyInput", ["size"], input);
  return null;
}
