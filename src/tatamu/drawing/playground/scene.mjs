// The drawing of one output position as SVG: the padded input with the kernel over it, the kernel, the output.
// Which cells there are and which are read comes from arithmetic.mjs; here is where they lie and how they look.

import {
  axes,
  channelsRead,
  effectiveKernel,
  outputSize,
  padded,
  positions,
  source,
  unread,
} from "./arithmetic.mjs";
import { kernelOf, shown } from "./weights.mjs";

const NARROW = 560; // Below this width the kernel has no drawing of its own,
const GAPS = [28, 44]; // and input and output stand closer.
const MARGIN = 18; // Around everything: room for sheets behind, and for strokes.
const LABEL = 40; // Below each grid: its name and its size.
const LARGEST = 38;
const SHEET = 5; // How far a further channel peeps out.
const NUMBERS_FROM = 17; // Cells this large hold a number;
const WEIGHTS_FROM = 27; // and these the weight beside it.

/** Where everything lies, in pixels: { cell, input, kernel, output, width, height }; no `kernel` where it is narrow. */
export function layout(settings, width, height) {
  const grid = axes(settings);
  const [rows, columns] = grid.map(padded);
  const [outRows, outColumns] = grid.map((axis) => Math.max(outputSize(axis), 1));
  const narrow = width < NARROW;
  const [kh, kw] = narrow ? [0, 0] : settings.kernel;
  const gap = narrow ? GAPS[0] : GAPS[1];
  const beside = {
    across: columns + kw + outColumns,
    down: Math.max(rows, kh, outRows),
    fixed: [(narrow ? 1 : 2) * gap + 2 * MARGIN, LABEL + MARGIN],
  };
  const below = {
    across: Math.max(columns, kw + outColumns),
    down: rows + Math.max(kh, outRows),
    fixed: [gap + 2 * MARGIN, 2 * (LABEL + MARGIN)],
  };
  const fit = ({ across, down, fixed }) =>
    Math.min(LARGEST, (width - fixed[0]) / across, (height - fixed[1]) / down);
  const stacked = fit(below) > fit(beside);
  const best = Math.max(fit(beside), fit(below), 0.5);
  const cell = best > 6 ? Math.floor(best) : best;
  const part = (name, across, down) => ({ name, width: across * cell, height: down * cell });
  const first = part("input", columns, rows);
  const later = [...(narrow ? [] : [part("kernel", kw, kh)]), part("output", outColumns, outRows)];
  const lines = stacked ? [[first], later] : [[first, ...later]];
  const place = { cell, width, height: 0 };
  for (const line of lines) {
    const tallest = Math.max(...line.map((one) => one.height));
    const across = line.reduce((total, one) => total + one.width, gap * (line.length - 1));
    let x = (width - across) / 2;
    for (const one of line) {
      place[one.name] = { ...one, x, y: place.height + MARGIN + (tallest - one.height) / 2 };
      x += one.width + gap;
    }
    place.height += MARGIN + tallest + LABEL;
  }
  return place;
}

/**
 * The drawing. `view` is { row, column, channel, pixel, readers, playing, plane }: the output position and channel that
 * are shown, a position of the input that is pointed at (or null) and the outputs that read it, whether later outputs
 * are still to come, and the output's numbers. `texts` has the names of the three grids.
 */
export function scene(settings, place, view, texts) {
  const [rows, columns] = axes(settings);
  const parts = [
    sheets(place.input, channelCount(settings, view), padded(rows) > rows.size ? "faint-area" : "blue-tint"),
    input(settings, place, rows, columns),
    reading(settings, place, view, rows, columns),
    place.kernel ? kernel(settings, place) : "",
    sheets(place.output, settings.outChannels, "green-tint"),
    output(settings, place, view, rows, columns),
    ...["input", "kernel", "output"].map((name) => label(place, name, texts)),
  ];
  return drawing(place, parts);
}

/** The drawing of a kernel that is larger than its padded input: both from the same corner. */
export function misfit(settings, width, height, texts) {
  const [rows, columns] = axes(settings);
  const extents = [rows, columns].map((axis) => Math.max(padded(axis), effectiveKernel(axis)));
  const fit = Math.min(LARGEST, (width - 2 * MARGIN) / extents[1], (height - LABEL - MARGIN) / extents[0]);
  const cell = Math.max(fit, 0.5);
  const [x, y] = [(width - extents[1] * cell) / 2, MARGIN];
  const part = { x, y, width: padded(columns) * cell, height: padded(rows) * cell };
  const place = { cell, width, height: y + extents[0] * cell + LABEL, input: part };
  const window = [effectiveKernel(columns) * cell, effectiveKernel(rows) * cell];
  const taps = positions({ ...rows, before: 0 }, 0).flatMap((row) =>
    positions({ ...columns, before: 0 }, 0).map((column) =>
      box(x + column * cell, y + row * cell, cell, cell, "red-tap"),
    ),
  );
  const shifted = { ...place, input: { ...part, height: extents[0] * cell } };
  return drawing(place, [
    input(settings, place, rows, columns),
    ...taps,
    box(x, y, ...window, "red-edge"),
    label(shifted, "input", texts),
  ]);
}

function drawing(place, parts) {
  return (
    `<svg width="${place.width}" height="${place.height}" viewBox="0 0 ${place.width} ${place.height}" ` +
    `aria-hidden="true"><defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" ` +
    `patternTransform="rotate(45)"><line class="hatch" x1="0" x2="0" y1="0" y2="6"/></pattern></defs>` +
    `${parts.join("")}</svg>`
  );
}

const box = (x, y, width, height, style) =>
  `<rect x="${x}" y="${y}" width="${width}" height="${height}" class="${style}"/>`;

function channelCount(settings, view) {
  const [first, end] = channelsRead(settings, view.channel);
  return end - first;
}

function sheets(part, count, style) {
  const behind = Math.min(count, 4) - 1;
  return Array.from({ length: Math.max(behind, 0) }, (_, i) => {
    const shift = SHEET * (behind - i);
    return box(part.x + shift, part.y - shift, part.width, part.height, style);
  }).join("");
}

function lines(part, cell, rows, columns, style) {
  if (cell < 4) return "";
  const path = [];
  for (let i = 0; i <= rows; i += 1) path.push(`M${part.x} ${part.y + i * cell}h${columns * cell}`);
  for (let j = 0; j <= columns; j += 1) path.push(`M${part.x + j * cell} ${part.y}v${rows * cell}`);
  return `<path d="${path.join("")}" class="${style}"/>`;
}

function number(x, y, cell, value, style) {
  const text = format(value);
  const size = Math.min(cell * 0.46, (cell * 1.25) / Math.max(text.length, 1));
  return `<text x="${x + cell / 2}" y="${y + cell / 2}" font-size="${size.toFixed(1)}" class="${style}">${text}</text>`;
}

/** A number as it is written in a cell. */
export function format(value) {
  const rounded = Math.round(value * 100) / 100;
  return String(rounded === 0 ? 0 : rounded).replace("-", "−");
}

/** The rectangle of the input's own pixels inside the padded grid. */
function pixels({ cell, input: part }, rows, columns) {
  return {
    x: part.x + columns.before * cell,
    y: part.y + rows.before * cell,
    width: columns.size * cell,
    height: rows.size * cell,
  };
}

function input(settings, place, rows, columns) {
  const { cell, input: part } = place;
  const inner = pixels(place, rows, columns);
  const whole = [padded(rows), padded(columns)];
  const copies = settings.mode === "zeros" ? "faint" : "blue-copy";
  const skipped = (axis, i) => (outputSize(axis) < 1 ? [] : unread(axis, settings.mode)).map((pixel) => {
    const at = (i ? inner.x : inner.y) + pixel * cell;
    return i ? box(at, inner.y, cell, inner.height, "unread") : box(inner.x, at, inner.width, cell, "unread");
  });
  return [
    box(part.x, part.y, part.width, part.height, `${copies}-area`),
    lines(part, cell, ...whole, copies === "faint" ? "faint-line" : "copy-line"),
    box(inner.x, inner.y, inner.width, inner.height, "blue-tint"),
    lines(inner, cell, rows.size, columns.size, "blue-line"),
    ...skipped(rows, 0),
    ...skipped(columns, 1),
  ].join("");
}

function inputNumbers(settings, place, view, rows, columns, readAt) {
  const { cell, input: part } = place;
  if (cell < NUMBERS_FROM) return "";
  const [channel] = channelsRead(settings, view.channel);
  const { taps } = kernelOf(settings);
  const texts = [];
  for (let i = 0; i < padded(rows); i += 1) {
    for (let j = 0; j < padded(columns); j += 1) {
      const [row, column] = [i - rows.before, j - columns.before];
      const [x, y] = [part.x + j * cell, part.y + i * cell];
      const own = row >= 0 && row < rows.size && column >= 0 && column < columns.size;
      const tap = [readAt[0].indexOf(row), readAt[1].indexOf(column)];
      const read = tap[0] >= 0 && tap[1] >= 0;
      const style = read ? "number read" : own ? "number" : "number copied";
      texts.push(number(x, y, cell, shown(settings, channel, row, column), style));
      if (read && cell >= WEIGHTS_FROM) {
        const weight = format(taps[tap[0]][tap[1]]);
        texts.push(
          `<text x="${x + cell - 3}" y="${y + cell - 3}" font-size="${(cell * 0.28).toFixed(1)}" ` +
            `class="weight">×${weight}</text>`,
        );
      }
    }
  }
  return texts.join("");
}

function reading(settings, place, view, rows, columns) {
  const { cell, input: part, output: out } = place;
  const at = (row, column) => [part.x + (column + columns.before) * cell, part.y + (row + rows.before) * cell];
  const readAt = [positions(rows, view.row), positions(columns, view.column)];
  const [x, y] = at(readAt[0][0], readAt[1][0]);
  const [right, bottom] = at(readAt[0].at(-1) + 1, readAt[1].at(-1) + 1);
  const taps = [];
  const copied = new Set();
  for (const row of readAt[0]) {
    for (const column of readAt[1]) {
      taps.push(box(...at(row, column), cell, cell, "orange-tap"));
      const from = [source(row, rows.size, settings.mode), source(column, columns.size, settings.mode)];
      const isCopy = from[0] !== row || from[1] !== column;
      if (isCopy && from[0] !== null && from[1] !== null) copied.add(from.join());
    }
  }
  const sources = [...copied].map((text) => {
    const [sx, sy] = at(...text.split(",").map(Number));
    return box(sx + 2, sy + 2, Math.max(cell - 4, 1), Math.max(cell - 4, 1), "source");
  });
  const [ox, oy] = [out.x + view.column * cell, out.y + view.row * cell];
  const beams = out.y > part.y + part.height
    ? `M${x} ${bottom}L${ox} ${oy}M${right} ${bottom}L${ox + cell} ${oy}`
    : `M${right} ${y}L${ox} ${oy}M${right} ${bottom}L${ox} ${oy + cell}`;
  return [
    `<path d="${beams}" class="beam"/>`,
    ...taps,
    box(x, y, right - x, bottom - y, "orange-edge"),
    ...sources,
    inputNumbers(settings, place, view, rows, columns, readAt),
    view.pixel ? pointed(settings, place, view, rows, columns, at) : "",
  ].join("");
}

/** The position of the input that is pointed at, and for a copy the way to the pixel that it shows. */
function pointed(settings, { cell }, view, rows, columns, at) {
  const [row, column] = view.pixel;
  const [x, y] = at(row, column);
  const from = [source(row, rows.size, settings.mode), source(column, columns.size, settings.mode)];
  const parts = [box(x + 1, y + 1, cell - 2, cell - 2, "pointed")];
  if (from[0] !== null && from[1] !== null && (from[0] !== row || from[1] !== column)) {
    const [sx, sy] = at(...from);
    parts.push(
      box(sx + 1, sy + 1, cell - 2, cell - 2, "pointed"),
      `<path d="M${x + cell / 2} ${y + cell / 2}L${sx + cell / 2} ${sy + cell / 2}" class="way"/>`,
      `<circle cx="${sx + cell / 2}" cy="${sy + cell / 2}" r="3" class="way-end"/>`,
    );
  }
  return parts.join("");
}

function kernel(settings, { cell, kernel: part }) {
  const { taps } = kernelOf(settings);
  const [kh, kw] = settings.kernel;
  const numbers = taps.flatMap((row, i) =>
    cell < NUMBERS_FROM
      ? []
      : row.map((value, j) => number(part.x + j * cell, part.y + i * cell, cell, value, "number")),
  );
  return [
    box(part.x, part.y, part.width, part.height, "orange-tint"),
    lines(part, cell, kh, kw, "orange-line"),
    ...numbers,
  ].join("");
}

function output(settings, place, view, rows, columns) {
  const { cell, output: part } = place;
  const [height, width] = [outputSize(rows), outputSize(columns)];
  const cells = [box(part.x, part.y, part.width, part.height, "paper")];
  const written = view.playing ? view.row * width + view.column + 1 : height * width;
  const full = Math.floor(written / width);
  cells.push(box(part.x, part.y, part.width, full * cell, "green-fill"));
  cells.push(box(part.x, part.y + full * cell, (written % width) * cell, cell, "green-fill"));
  cells.push(lines(part, cell, height, width, "green-line"));
  for (const [row, column] of view.readers ?? []) {
    cells.push(box(part.x + column * cell, part.y + row * cell, cell, cell, "green-tap"));
  }
  if (cell >= NUMBERS_FROM && view.plane) {
    for (let i = 0; i < written; i += 1) {
      const [row, column] = [Math.floor(i / width), i % width];
      cells.push(number(part.x + column * cell, part.y + row * cell, cell, view.plane[i], "number"));
    }
  }
  cells.push(box(part.x + view.column * cell, part.y + view.row * cell, cell, cell, "green-edge"));
  return cells.join("");
}

function label(place, name, texts) {
  const part = place[name];
  if (!part) return "";
  const [x, y] = [part.x + part.width / 2, part.y + part.height];
  return (
    `<text x="${x}" y="${y + 18}" class="name ${name}">${texts[name]}</text>` +
    `<text x="${x}" y="${y + 33}" class="measure">${texts[`${name}Size`]}</text>`
  );
}
