// The sentences of tatamu.errors, word for word: the page cannot import Python, and a test compares them.

const list = (values) => `[${values.join(", ")}]`;
const tuple = (values) => `(${values.join(", ")})`;

export function groups(given) {
  return `groups must be a positive integer, but got groups=${given}; use 1 for an ordinary convolution`;
}

export function channelsNotDivisible(name, channels, given) {
  const divisors = [];
  for (let n = 1; n <= Math.min(channels, 64); n += 1) if (channels % n === 0) divisors.push(n);
  const fitting = divisors.length
    ? `with ${name}=${channels} groups can be ${divisors.join(", ")}`
    : "choose another";
  return `${name} must be divisible by groups, but got ${name}=${channels} and groups=${given}; ${fitting}`;
}

/** `stride` as it is written in Python. */
export function stridedSame(stride) {
  return (
    `padding='same' is not supported for strided convolutions, but got stride=${stride}; ` +
    "'same_upper' (as in Keras, TensorFlow and JAX) and 'same_lower' work with any stride"
  );
}

export function stride(given) {
  return `non-positive stride is not supported, but got stride=${tuple(given)}; the smallest is 1`;
}

/** `padding` as the layer holds it, in Python. */
export function negativePadding(padding) {
  return `negative padding is not supported, but got padding=${padding}; slice the input to crop it`;
}

export function dilation(given) {
  return `dilation should be greater than zero, but got ${list(given)}; 1 means taps side by side`;
}

export function kernelSize(given) {
  return (
    `kernel size should be greater than zero, but got kernel_height: ${given[0]} kernel_width: ${given[1]}; ` +
    "the smallest kernel is 1 x 1"
  );
}

export function noOutputChannels(weight, given) {
  return (
    `Given groups=${given}, expected weight to be at least ${given} at dimension 0, but got weight of ` +
    `size ${list(weight)} instead; each group makes at least one output channel`
  );
}

export function inputChannels(input, weight, given) {
  const wanted = weight[1] * given;
  const advice =
    input[3] === wanted
      ? `the last dimension has ${wanted}: if this is NHWC, pass input.permute(0, 3, 1, 2)`
      : "dimension 1 of the input holds the channels";
  return (
    `Given groups=${given}, weight of size ${list(weight)}, expected input${list(input)} to have ` +
    `${wanted} channels, but got ${input[1]} channels instead; ${advice}`
  );
}

/** `axis` is 0 for the height and 1 for the width, `amounts` its [before, after]. */
export function reflectPadding(axis, amounts, input) {
  return (
    `Argument #${6 - 2 * axis}: Padding size should be less than the corresponding input dimension, but got: ` +
    `padding ${tuple(amounts)} at dimension ${2 + axis} of input ${list(input)}; ` +
    `padding_mode='reflect' reaches ${input[2 + axis] - 1} here, 'replicate' has no limit`
  );
}

export function circularPadding(axis, amounts, input) {
  return (
    `Padding value causes wrapping around more than once: padding ${tuple(amounts)} at dimension ${2 + axis} ` +
    `of input ${list(input)}; padding_mode='circular' reaches ${input[2 + axis]} here`
  );
}

export function kernelTooLarge(padded, kernel) {
  const short = [0, 1].map((i) => Math.max(kernel[i] - padded[i], 0));
  return (
    `Calculated padded input size per channel: (${padded[0]} x ${padded[1]}). ` +
    `Kernel size: (${kernel[0]} x ${kernel[1]}). Kernel size can't be greater than actual input size; ` +
    `it takes ${short[0]} more rows and ${short[1]} more columns, as input or as padding`
  );
}

export function emptyInput(input) {
  return (
    `Only zero batch or zero channel inputs are supported, but got input shape: ${list(input)}; ` +
    "the height and the width are at least 1"
  );
}

export function emptyPaddedInput(input) {
  return (
    "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for input, " +
    `but got: ${list(input)}; the height and the width are at least 1`
  );
}
