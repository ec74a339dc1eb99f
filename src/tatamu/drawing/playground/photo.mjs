// The part of the page that convolves a picture.

import { byId, options, setText } from "./elements.mjs";
import { PICTURES, PICTURE_SIZE, draw } from "./pictures.mjs";
import { mistakeOnPicture } from "./rules.mjs";
import { PRESETS, convolvePlane, kernelOf } from "./weights.mjs";

const MOST = 240; // A picture of the user's is made no larger than this.

/** Makes it; `change(patch)` is called with what the user sets. Returns a function (settings, words) that shows it. */
export function makePhoto(change) {
  const drawn = {};
  let own = null;
  let failed = false;
  let last = null;

  for (const [id, read] of [
    ["picture", (value) => ({ picture: value })],
    ["picture-weights", (value) => ({ weights: value })],
    ["depthwise", (value) => ({ depthwise: value === "depthwise" })],
  ]) {
    byId(id).addEventListener("change", (event) => {
      if (id === "picture") own = event.target.value === "own" ? own : null;
      if (id === "picture" && event.target.value === "own") return;
      change(read(event.target.value));
    });
  }
  byId("own").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    if (!file) return;
    try {
      own = await pixelsOf(file);
      failed = false;
    } catch {
      failed = true;
    }
    if (last) show(...last);
  });

  function show(settings, words) {
    last = [settings, words];
    const names = { ...words.pictureNames, own: words.ownName };
    const known = [...Object.keys(PICTURES), ...(own ? ["own"] : [])];
    options(byId("picture"), known, names, own ? "own" : settings.picture);
    options(byId("picture-weights"), Object.keys(PRESETS), words.weightNames, settings.weights);
    options(byId("depthwise"), ["depthwise", "mixed"], words, settings.depthwise ? "depthwise" : "mixed");
    setText(byId("own-note"), failed ? words.ownFailed : words.ownNote);
    if (!own) drawn[settings.picture] ??= { planes: draw(settings.picture), size: PICTURE_SIZE };
    const { planes, size } = own ?? drawn[settings.picture];
    const name = own ? words.ownName : words.pictureNames[settings.picture];
    paint(byId("before"), planes, size, size[1]);
    byId("before").setAttribute("aria-label", words.pictureOf(name));
    const mistake = mistakeOnPicture(settings, size);
    setText(byId("photo-mistake"), mistake?.sentence ?? "");
    byId("photo-mistake").hidden = !mistake;
    byId("after").parentElement.hidden = Boolean(mistake);
    byId("signed-note").hidden = true;
    if (mistake) return;
    const { signed, taps } = kernelOf(settings);
    byId("signed-note").hidden = !signed;
    // Larger kernels of differences sum more of them: shown as strong as Sobel's with 3 × 3 taps.
    const strength = Math.max(taps.flat().reduce((sum, tap) => sum + Math.max(tap, 0), 0) / 4, 1);
    const results = planes.map((plane) => convolvePlane(settings, plane, size));
    const after = (settings.depthwise ? results.map(({ values }) => values) : [mean(results)]).map((plane) =>
      signed ? plane.map((value) => Math.abs(value) / strength) : plane,
    );
    const [height, width] = results[0].size;
    paint(byId("after"), after.length === 3 ? after : [after[0], after[0], after[0]], [height, width], size[1]);
    const caption = words.pictureAfter(name, words.weightNames[settings.weights], height, width);
    setText(byId("after-text"), `${words.after}: ${height} × ${width}`);
    byId("after").setAttribute("aria-label", caption);
  }
  return show;
}

function mean(results) {
  return results[0].values.map((_, i) => (results[0].values[i] + results[1].values[i] + results[2].values[i]) / 3);
}

/** Paints three planes; where it fits, a pixel is as large as in a picture `across` wide that fills its column. */
function paint(canvas, planes, [height, width], across) {
  canvas.height = height;
  canvas.width = width;
  canvas.style.width = `${Math.min((100 * width) / across, 100)}%`;
  const image = new ImageData(width, height);
  for (let i = 0; i < height * width; i += 1) {
    for (let c = 0; c < 3; c += 1) image.data[4 * i + c] = Math.round(planes[c][i] * 255);
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

async function pixelsOf(file) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, MOST / Math.max(bitmap.width, bitmap.height));
  const [height, width] = [bitmap.height, bitmap.width].map((length) => Math.max(Math.round(length * scale), 1));
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const planes = [0, 1, 2].map((c) => Float32Array.from({ length: height * width }, (_, i) => data[4 * i + c] / 255));
  return { planes, size: [height, width] };
}
