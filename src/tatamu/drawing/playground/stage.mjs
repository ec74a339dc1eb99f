// The animation and what is pointed at: which output is shown, and what is said of it.

import {
  axes,
  channelsRead,
  outputSize,
  padded,
  positions,
  readersOfPosition,
  readers,
  source,
  unread,
} from "./arithmetic.mjs";
import { byId, element, setText } from "./elements.mjs";
import { layout, misfit, scene } from "./scene.mjs";
import { biasNumber, convolvePlane, inputNumber, kernelOf } from "./weights.mjs";

const ROUND = 9000; // A whole round takes about so many milliseconds,
const [FASTEST, SLOWEST] = [50, 650]; // but a position no less and no more than these.
const MOST_NUMBERS = 2500; // Larger inputs have cells too small for numbers.
const [DOWN_TO, UP_TO] = [220, 430]; // Least and greatest height of the drawing.

/** Makes the stage; `written(view)` is called when another output position is shown. Returns its functions. */
export function makeStage(written) {
  const view = { row: 0, column: 0, channel: 0, pixel: null, playing: false, plane: null, readers: null };
  let [settings, words, place] = [null, null, null];
  let timer = 0;
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  view.playing = !still.matches;
  const grids = { input: byId("input-grid"), output: byId("output-grid") };

  function size() {
    return axes(settings).map(outputSize);
  }

  function moveTo(row, column) {
    const [height, width] = size();
    view.row = Math.min(Math.max(row, 0), height - 1);
    view.column = Math.min(Math.max(column, 0), width - 1);
    view.pixel = null;
    view.readers = null;
    draw();
  }

  function step(by) {
    const [height, width] = size();
    const at = (view.row * width + view.column + by + height * width) % (height * width);
    moveTo(Math.floor(at / width), at % width);
  }

  function play(on) {
    view.playing = on;
    clearTimeout(timer);
    if (on) schedule();
    draw();
  }

  function schedule() {
    clearTimeout(timer);
    if (!view.playing || !settings) return;
    const [height, width] = size();
    timer = setTimeout(() => {
      step(1);
      schedule();
    }, Math.min(Math.max(ROUND / (height * width), FASTEST), SLOWEST));
  }

  function pointAt(row, column) {
    const [rows, columns] = axes(settings);
    const limits = [rows, columns].map((axis) => [-axis.before, axis.size + axis.after - 1]);
    view.pixel = [row, column].map((value, i) => Math.min(Math.max(value, limits[i][0]), limits[i][1]));
    const found = [rows, columns].map((axis, i) => readersAt(axis, view.pixel[i], view.pixel));
    view.readers = found[0].flatMap((p) => found[1].map((q) => [p, q]));
    draw();
  }

  /** A pixel counts as read wherever it is shown; a place in the padding only where it is. */
  function readersAt(axis, at, pixel) {
    const [rows, columns] = axes(settings);
    const own = [rows, columns].every((a, i) => pixel[i] >= 0 && pixel[i] < a.size);
    return own ? readers(axis, settings.mode, at) : readersOfPosition(axis, at);
  }

  function cellUnder(event, name) {
    const bounds = grids[name].getBoundingClientRect();
    return [(event.clientY - bounds.top) / place.cell, (event.clientX - bounds.left) / place.cell].map(Math.floor);
  }

  grids.output.addEventListener("pointermove", (event) => {
    if (view.playing) play(false);
    const [row, column] = cellUnder(event, "output");
    if (row !== view.row || column !== view.column || view.pixel) moveTo(row, column);
  });
  for (const kind of ["pointermove", "pointerdown"]) {
    grids.input.addEventListener(kind, (event) => {
      if (view.playing) play(false);
      const [rows, columns] = axes(settings);
      const [row, column] = cellUnder(event, "input");
      pointAt(row - rows.before, column - columns.before);
    });
  }
  grids.output.addEventListener("pointerdown", (event) => {
    if (view.playing) play(false);
    moveTo(...cellUnder(event, "output"));
  });
  grids.input.addEventListener("pointerleave", () => {
    if (document.activeElement !== grids.input) moveTo(view.row, view.column);
  });
  grids.input.addEventListener("focus", () => {
    if (view.playing) play(false);
    if (!view.pixel) pointAt(0, 0);
  });
  grids.input.addEventListener("blur", () => moveTo(view.row, view.column));
  grids.output.addEventListener("focus", () => {
    if (view.playing) play(false);
  });
  const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  for (const [name, from, to] of [
    ["input", () => view.pixel ?? [0, 0], pointAt],
    ["output", () => [view.row, view.column], moveTo],
  ]) {
    grids[name].addEventListener("keydown", (event) => {
      const move = ARROWS[event.key];
      if (!move) return;
      event.preventDefault();
      to(...from().map((value, i) => value + move[i]));
    });
  }
  byId("play").addEventListener("click", () => play(!view.playing));
  byId("previous").addEventListener("click", () => {
    play(false);
    step(-1);
  });
  byId("next").addEventListener("click", () => {
    play(false);
    step(1);
  });
  byId("position").addEventListener("input", (event) => {
    const at = Number(event.target.value); // Stopping draws, which sets the slider.
    play(false);
    const [, width] = size();
    moveTo(Math.floor(at / width), at % width);
  });
  addEventListener("resize", () => settings && measure());

  function room(frame) {
    return Math.min(UP_TO, Math.max(DOWN_TO, innerHeight * (frame.clientWidth < 560 ? 0.36 : 0.55)));
  }

  function measure() {
    const frame = byId("drawing-frame");
    place = layout(settings, frame.clientWidth, room(frame));
    draw();
  }

  function enable(on) {
    clearTimeout(timer);
    const frame = byId("drawing-frame");
    frame.classList.toggle("broken", !on);
    frame.classList.remove("stale");
    for (const id of ["previous", "play", "next", "position"]) byId(id).disabled = !on;
  }

  function texts() {
    const [first, end] = channelsRead(settings, view.channel);
    const [rows, columns] = axes(settings);
    const { divisor } = kernelOf(settings);
    const divided = divisor === 1 ? "" : words.divided(divisor);
    return {
      input: words.input,
      inputSize: `${settings.channels} × ${rows.size} × ${columns.size}`,
      kernel: words.kernel,
      kernelSize: `${end - first} × ${words.taps(...settings.kernel)}${divided}`,
      output: words.output,
      outputSize: `${settings.outChannels} × ${outputSize(rows)} × ${outputSize(columns)}`,
    };
  }

  function draw() {
    if (!settings) return;
    const [rows, columns] = axes(settings);
    byId("drawing").innerHTML = scene(settings, place, view, texts());
    byId("drawing-frame").style.height = `${place.height}px`;
    for (const [name, count] of [
      ["input", [padded(rows), padded(columns)]],
      ["output", size()],
    ]) {
      const { x, y, width, height } = place[name];
      Object.assign(grids[name].style, {
        left: `${x}px`,
        top: `${y}px`,
        width: `${width}px`,
        height: `${height}px`,
      });
      grids[name].setAttribute("aria-label", words[`${name}Grid`](...count));
    }
    const [height, width] = size();
    const position = byId("position");
    position.max = height * width - 1;
    position.value = view.row * width + view.column;
    position.setAttribute("aria-valuetext", words.positionText(view.row, view.column));
    byId("play").setAttribute("aria-label", view.playing ? words.pause : words.play);
    byId("play").classList.toggle("playing", view.playing);
    const text = byId("cell-text");
    // What runs by itself is not announced: nobody could listen to that.
    text.setAttribute("aria-live", view.playing ? "off" : "polite");
    setText(text, view.pixel ? pixelText(rows, columns) : outputText(rows, columns));
    written(view);
  }

  function outputText(rows, columns) {
    const at = [positions(rows, view.row), positions(columns, view.column)];
    const inside = at.map((list, i) => list.filter((p) => p >= 0 && p < settings.size[i]).length);
    const taps = rows.kernel * columns.kernel;
    return words.reads(view.row, view.column, ...at, taps - inside[0] * inside[1], taps);
  }

  function pixelText(rows, columns) {
    const [row, column] = view.pixel;
    const from = [source(row, rows.size, settings.mode), source(column, columns.size, settings.mode)];
    const count = view.readers.length;
    if (from[0] === null || from[1] === null) return words.isZero(row, column, count);
    if (from[0] !== row || from[1] !== column) return words.isCopy(row, column, ...from, count);
    return words.isRead(row, column, count);
  }

  return {
    /** Shows a layer that works. */
    show(next, nextWords) {
      [settings, words] = [next, nextWords];
      enable(true);
      view.channel = Math.min(view.channel, settings.outChannels - 1);
      view.plane = outputPlane(settings, view.channel);
      const [height, width] = size();
      view.row = Math.min(view.row, height - 1);
      view.column = Math.min(view.column, width - 1);
      view.pixel = null;
      view.readers = null;
      measure();
      schedule();
      showLegend(settings, words);
    },
    /** Shows one that does not: a kernel that is too large, or the last drawing in grey. */
    showBroken(broken, rule, nextWords) {
      words = nextWords;
      settings = null;
      enable(false);
      setText(byId("cell-text"), "");
      const large = rule === "kernelTooLarge";
      byId("drawing-frame").classList.toggle("stale", !large);
      if (!large) return;
      const [rows, columns] = axes(broken);
      const names = { input: words.misfit, inputSize: `${padded(rows)} × ${padded(columns)}` };
      const frame = byId("drawing-frame");
      const drawing = byId("drawing");
      drawing.innerHTML = misfit(broken, frame.clientWidth, room(frame), names);
      frame.style.height = `${drawing.firstChild.clientHeight}px`;
    },
    showChannel(channel) {
      view.channel = channel;
      view.plane = outputPlane(settings, channel);
      draw();
    },
  };
}

/** The numbers of one output channel: all its channels have the same kernel, so their sum is convolved once. */
function outputPlane(settings, channel) {
  const [height, width] = settings.size;
  if (height * width > MOST_NUMBERS) return null;
  const [first, end] = channelsRead(settings, channel);
  const plane = new Float32Array(height * width);
  for (let c = first; c < end; c += 1) {
    for (let i = 0; i < plane.length; i += 1) plane[i] += inputNumber(c, Math.floor(i / width), i % width);
  }
  const { values } = convolvePlane(settings, plane, settings.size);
  return values.map((value) => value + biasNumber(settings, channel));
}

function showLegend(settings, words) {
  const [rows, columns] = axes(settings);
  const hasPadding = padded(rows) > rows.size || padded(columns) > columns.size;
  const skipped = [rows, columns].some((axis) => unread(axis, settings.mode).length);
  const keys = [
    "pixel",
    ...(hasPadding ? ["padding"] : []),
    "tap",
    ...(hasPadding && settings.mode !== "zeros" ? ["source"] : []),
    ...(skipped ? ["unread"] : []),
    "written",
  ];
  byId("legend").replaceChildren(
    ...keys.map((key) => {
      const swatch = element("span", { className: `swatch ${key}` });
      return element("li", {}, [swatch, words.legend[key]]);
    }),
  );
}
