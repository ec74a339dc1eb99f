// The arithmetic of tatamu.geometry, for one axis at a time. tests/drawing/playground holds it to Python's.
// An axis is { size, kernel, stride, dilation, before, after }, all but `kernel` in pixels.

export const STRINGS = ["valid", "same", "same_upper", "same_lower"];
export const MODES = ["zeros", "reflect", "replicate", "circular"];

const AXIS_NAMES = ["height", "width"];

/** The remainder that Python has: never negative. */
export function modulo(value, by) {
  return ((value % by) + by) % by;
}

export function effectiveKernel(axis) {
  return axis.dilation * (axis.kernel - 1) + 1;
}

export function padded(axis) {
  return axis.size + axis.before + axis.after;
}

export function outputSize(axis) {
  return Math.floor((padded(axis) - effectiveKernel(axis)) / axis.stride) + 1;
}

/** The output size as torch documents it, with the numbers filled in. */
export function formula(axis) {
  const total = `${axis.size} + ${axis.before} + ${axis.after} - ${axis.dilation}·(${axis.kernel} - 1) - 1`;
  return `floor((${total}) / ${axis.stride}) + 1 = ${outputSize(axis)}`;
}

/** [before, after] that a padding string stands for; `axis` needs no padding of its own. */
export function namedPadding(name, axis) {
  const span = axis.dilation * (axis.kernel - 1);
  if (name === "valid") return [0, 0];
  if (name === "same") return [Math.floor(span / 2), span - Math.floor(span / 2)];
  // Without a stride there is no such amount; the rules say so, and the lines to copy are shown all the same.
  const over = axis.stride > 0 ? modulo(axis.size - 1, axis.stride) : 0;
  const total = span > 0 ? Math.max(0, span - over) : 0;
  const smaller = Math.floor(total / 2);
  return name === "same_upper" ? [smaller, total - smaller] : [total - smaller, smaller];
}

/** The two axes (rows, columns) of the layer in `settings` on an input of height × width. */
export function axes(settings, [height, width] = settings.size) {
  return [height, width].map((size, i) => {
    const axis = {
      name: AXIS_NAMES[i],
      size,
      kernel: settings.kernel[i],
      stride: settings.stride[i],
      dilation: settings.dilation[i],
    };
    const amounts = STRINGS.includes(settings.padding)
      ? namedPadding(settings.padding, axis)
      : settings.sides[i];
    return { ...axis, before: amounts[0], after: amounts[1] };
  });
}

/** The pixel that `position` (0 is the first pixel of the input) shows in this mode; null where it is a zero. */
export function source(position, size, mode) {
  if (position >= 0 && position < size) return position;
  if (mode === "zeros") return null;
  if (mode === "replicate") return position < 0 ? 0 : size - 1;
  if (mode === "circular") return modulo(position, size);
  return position < 0 ? -position : 2 * (size - 1) - position;
}

/** The positions that output `p` reads, one for each tap; negative ones, and those from `size` on, are padding. */
export function positions(axis, p) {
  return Array.from({ length: axis.kernel }, (_, k) => p * axis.stride + k * axis.dilation - axis.before);
}

/** The outputs that read pixel `pixel`, whether where it is or where the padding shows it; ascending. */
export function readers(axis, mode, pixel) {
  const found = [];
  for (let p = 0; p < outputSize(axis); p += 1) {
    if (positions(axis, p).some((at) => source(at, axis.size, mode) === pixel)) found.push(p);
  }
  return found;
}

/** The outputs that read this very position, be it padding or not; ascending. */
export function readersOfPosition(axis, position) {
  const found = [];
  for (let p = 0; p < outputSize(axis); p += 1) {
    if (positions(axis, p).includes(position)) found.push(p);
  }
  return found;
}

/** The pixels that no output reads, ascending. */
export function unread(axis, mode) {
  const read = new Set();
  for (let p = 0; p < outputSize(axis); p += 1) {
    for (const at of positions(axis, p)) read.add(source(at, axis.size, mode));
  }
  return Array.from({ length: axis.size }, (_, pixel) => pixel).filter((pixel) => !read.has(pixel));
}

/** Counts over the whole layer, as tatamu.geometry.Geometry has them, for one image. */
export function counts(settings) {
  const [rows, columns] = axes(settings);
  const reduction = (settings.inChannels / settings.groups) * rows.kernel * columns.kernel;
  const outputs = settings.outChannels * outputSize(rows) * outputSize(columns);
  return {
    parameters: settings.outChannels * (reduction + (settings.bias ? 1 : 0)),
    macs: outputs * reduction,
  };
}

/** The channels [first, end) of the input that output channel `channel` reads. */
export function channelsRead(settings, channel) {
  const inGroup = settings.inChannels / settings.groups;
  const group = Math.floor(channel / (settings.outChannels / settings.groups));
  return [group * inGroup, (group + 1) * inGroup];
}
