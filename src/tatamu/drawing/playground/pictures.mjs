// Pictures to convolve, computed pixel by pixel: each function gives [red, green, blue] from 0 to 1 at (x, y), which
// run from 0 to 1 across and down.

export const PICTURE_SIZE = [120, 180]; // (height, width)

const mix = (a, b, t) => a.map((value, i) => value + (b[i] - value) * t);
const clamp = (value) => Math.min(Math.max(value, 0), 1);
const step = (edge, width, value) => clamp((value - edge) / width + 0.5);

/** Grain that is the same on every machine. */
function noise(x, y) {
  const value = Math.sin(x * 12.9898 + y * 78.233) * 43758.5453;
  return value - Math.floor(value);
}

/** A mountain with snow before a low sun, over water. */
function mountain(x, y) {
  const sun = Math.hypot((x - 0.78) * 1.5, y - 0.24);
  let colour = mix([0.2, 0.42, 0.72], [0.98, 0.78, 0.55], clamp(y / 0.62));
  colour = mix([0.98, 0.36, 0.22], colour, step(0.11, 0.012, sun));
  const cloud = 0.17 + Math.sin(x * 9 + 1.3) * 0.012 + Math.sin(x * 23) * 0.006;
  const cloudy = 0.75 * (1 - step(0.022 * (1 - x / 0.33), 0.01, Math.abs(y - cloud)));
  colour = mix(colour, [1, 0.95, 0.9], cloudy);
  const ridge = Math.max(0.2 + Math.abs(x - 0.42) ** 0.82 * 1.05, 0.24) + Math.sin(x * 61) * 0.004;
  const snowLine = 0.36 + Math.sin(x * 74) * 0.03 + Math.sin(x * 31) * 0.025;
  const rock = mix([0.16, 0.2, 0.34], [0.3, 0.33, 0.47], step(0.44, 0.3, x + (y - ridge) * 0.3));
  const body = mix([0.96, 0.97, 1], rock, step(snowLine, 0.012, y));
  colour = mix(colour, body, step(ridge, 0.008, y));
  const forest = 0.71 - Math.abs(Math.sin(x * 90)) * 0.025 - Math.abs(Math.sin(x * 37)) * 0.02;
  colour = mix(colour, [0.07, 0.2, 0.17], step(forest, 0.01, y));
  const shore = 0.74 + Math.sin(x * 17) * 0.008;
  const wave = Math.sin(Math.sqrt(Math.max(y - 0.7, 0)) * 120 + Math.sin(x * 9) * 2);
  const light = clamp(0.3 + 0.3 * wave - Math.abs(x - 0.78) * 0.8);
  return mix(colour, mix([0.16, 0.33, 0.5], [0.85, 0.62, 0.5], light), step(shore, 0.01, y));
}

/** Tatami mats: woven straw between dark borders. */
function tatami(x, y) {
  const [across, down] = [x * 3, y * 2];
  const mats = [
    [0, 0, 2, 1],
    [2, 0, 1, 2],
    [0, 1, 1, 1],
    [1, 1, 1, 1],
  ];
  const [left, top, width, height] = mats.find(
    ([l, t, w, h]) => across >= l && across < l + w && down >= t && down < t + h,
  ) ?? mats[0];
  const along = width >= height;
  const [u, v] = along ? [down - top, across - left] : [across - left, down - top];
  const border = Math.min(u, 1 - u);
  const weave = Math.sin(u * 88) * 0.06 + (noise(Math.floor(u * 28), Math.floor(v * 40)) - 0.5) * 0.07;
  let colour = mix([0.78, 0.76, 0.5], [0.66, 0.68, 0.4], clamp(0.5 + Math.sin(v * 3 + left * 5 + top) * 0.3));
  colour = colour.map((value) => clamp(value + weave));
  const pattern = Math.sin(v * 40) * Math.cos(border * 70) > 0.35 ? [0.62, 0.5, 0.2] : [0.09, 0.2, 0.16];
  colour = mix(pattern, colour, step(0.09, 0.012, border));
  const edge = Math.min(u, 1 - u, v, (along ? width : height) - v);
  return mix([0.05, 0.06, 0.05], colour, step(0.012, 0.012, edge));
}

/** Rings that grow finer outwards: where a stride is too coarse for them, others appear. */
function rings(x, y) {
  const [across, down] = [(x - 0.5) * 180, (y - 0.5) * 120];
  const value = 0.5 + 0.5 * Math.cos((across * across + down * down) / 62);
  return [value, value, value];
}

/** Plain shapes in plain colours: edges of every direction, and corners. */
function shapes(x, y) {
  const [across, down] = [x * 1.5, y];
  let colour = [0.93, 0.9, 0.84];
  colour = mix([0.85, 0.24, 0.2], colour, step(0.24, 0.008, Math.hypot(across - 0.38, down - 0.36)));
  const square = Math.max(Math.abs(across - 1.05), Math.abs(down - 0.33));
  colour = mix([0.13, 0.38, 0.65], colour, step(0.2, 0.008, square));
  const turned = Math.abs(across - 1.05) + Math.abs(down - 0.33);
  colour = mix([0.96, 0.77, 0.2], colour, step(0.15, 0.01, turned));
  const roof = Math.max(0.62 - down + Math.abs(across - 0.78) * 0.9, down - 0.9);
  colour = mix([0.16, 0.5, 0.36], colour, step(0, 0.008, roof));
  const ring = Math.abs(Math.hypot(across - 1.22, down - 0.78) - 0.12);
  return mix([0.2, 0.2, 0.24], colour, step(0.028, 0.008, ring));
}

export const PICTURES = { mountain, tatami, shapes, rings };

/** Three planes (red, green, blue) from 0 to 1, row by row, of a drawn picture; each pixel the mean of two points. */
export function draw(name, [height, width] = PICTURE_SIZE) {
  const planes = [0, 1, 2].map(() => new Float32Array(height * width));
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      for (const [dy, dx] of [[0.25, 0.7], [0.75, 0.3]]) {
        const colour = PICTURES[name]((column + dx) / width, (row + dy) / height);
        planes.forEach((plane, i) => {
          plane[row * width + column] += clamp(colour[i]) / 2;
        });
      }
    }
  }
  return planes;
}
