// Kernels with a name, in any size, and what they make of numbers and of pictures.

import { axes, outputSize, positions, source } from "./arithmetic.mjs";

const binomial = (length) => {
  let row = [1];
  while (row.length < length) row = [1, ...row.slice(1).map((value, i) => value + row[i]), 1];
  return row.slice(0, length);
};

/** A difference along an axis, smoothed as its length allows; one tap has no neighbour to differ from. */
const difference = (length) => {
  if (length === 1) return [0];
  if (length === 2) return [-1, 1];
  const smooth = binomial(length - 2);
  return Array.from({ length }, (_, i) => (smooth[i - 2] ?? 0) - (smooth[i] ?? 0));
};

const product = (rows, columns) => rows.map((row) => columns.map((column) => row * column));
const filled = (rows, columns, value) => product(Array(rows).fill(1), Array(columns).fill(value));
const sum = (values) => values.flat().reduce((total, value) => total + value, 0);
const middle = (length) => Math.floor((length - 1) / 2);

function withCentre(taps, value) {
  const changed = taps.map((row) => [...row]);
  changed[middle(taps.length)][middle(taps[0].length)] = value;
  return changed;
}

/** Whole numbers for a kernel of (kh, kw) taps; those that do not sum to zero are divided by their sum. */
export const PRESETS = {
  identity: (kh, kw) => withCentre(filled(kh, kw, 0), 1),
  box: (kh, kw) => filled(kh, kw, 1),
  gauss: (kh, kw) => product(binomial(kh), binomial(kw)),
  sharpen: (kh, kw) => withCentre(filled(kh, kw, -2), 3 * kh * kw - 2),
  edges: (kh, kw) => withCentre(filled(kh, kw, -1), kh * kw - 1),
  sobelX: (kh, kw) => product(binomial(kh), difference(kw)),
  sobelY: (kh, kw) => product(difference(kh), binomial(kw)),
  emboss: (kh, kw) =>
    withCentre(
      filled(kh, kw, 1).map((row, i) => row.map((_, j) => i - middle(kh) + (j - middle(kw)))),
      1,
    ),
};

/** { taps, divisor, signed }: weights are taps / divisor; `signed` where they sum to zero. */
export function kernelOf(settings) {
  const taps = PRESETS[settings.weights](...settings.kernel);
  const total = sum(taps);
  return { taps, divisor: total || 1, signed: total === 0 };
}

/** What the drawn input holds: whole numbers from 0 to 9 that look as if drawn by lot. */
export function inputNumber(channel, row, column) {
  let mixed = Math.imul(row + 1, 73856093) ^ Math.imul(column + 1, 19349663) ^ Math.imul(channel + 1, 83492791);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 1274126177);
  return ((mixed ^ (mixed >>> 16)) >>> 0) % 10;
}

/** The bias of output channel `channel` in the drawing. */
export function biasNumber(settings, channel) {
  return settings.bias ? channel + 1 : 0;
}

/** The products of channel `channel` at output (p, q): { x, w, row, column }, tap by tap, padding's zeros as x = 0. */
export function products(settings, channel, p, q) {
  const [rows, columns] = axes(settings);
  const { taps } = kernelOf(settings);
  const across = positions(columns, q);
  return positions(rows, p).flatMap((row, i) =>
    across.map((column, j) => ({ x: shown(settings, channel, row, column), w: taps[i][j], row, column })),
  );
}

/** What the padded input shows at (row, column), counted from the input's first pixel. */
export function shown(settings, channel, row, column) {
  const fromRow = source(row, settings.size[0], settings.mode);
  const fromColumn = source(column, settings.size[1], settings.mode);
  return fromRow === null || fromColumn === null ? 0 : inputNumber(channel, fromRow, fromColumn);
}

/** The sum of the products of the channels [first, end), before the divisor. */
export function channelsSum(settings, [first, end], p, q) {
  const [rows, columns] = axes(settings);
  const { taps } = kernelOf(settings);
  const across = positions(columns, q);
  let total = 0;
  positions(rows, p).forEach((row, i) =>
    across.forEach((column, j) => {
      if (taps[i][j] === 0) return;
      for (let c = first; c < end; c += 1) total += taps[i][j] * shown(settings, c, row, column);
    }),
  );
  return total;
}

/**
 * One plane of numbers, row by row, convolved with the kernel by the layer's geometry: { values, size }. Taps of weight
 * zero cost nothing.
 */
export function convolvePlane(settings, plane, size) {
  const [rows, columns] = axes(settings, size);
  const { taps, divisor } = kernelOf(settings);
  const result = [outputSize(rows), outputSize(columns)];
  const values = new Float32Array(result[0] * result[1]);
  const from = [rows, columns].map((axis, i) =>
    Array.from({ length: result[i] }, (_, p) =>
      positions(axis, p).map((at) => source(at, axis.size, settings.mode)),
    ),
  );
  taps.forEach((row, i) =>
    row.forEach((weight, j) => {
      if (weight === 0) return;
      for (let p = 0; p < result[0]; p += 1) {
        const line = from[0][p][i];
        if (line === null) continue;
        for (let q = 0; q < result[1]; q += 1) {
          const at = from[1][q][j];
          if (at !== null) values[p * result[1] + q] += weight * plane[line * size[1] + at];
        }
      }
    }),
  );
  return { values: values.map((value) => value / divisor), size: result };
}
