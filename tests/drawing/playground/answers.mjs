// Answers vectors with the page's own modules: node answers.mjs MODULES VECTORS prints a list of answers as JSON.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder, file] = process.argv.slice(2);
const load = (name) => import(`${pathToFileURL(folder)}/${name}.mjs`);
const arithmetic = await load("arithmetic");
const { mistake } = await load("rules");
const { fromHash, toHash } = await load("settings");
const python = await load("python");
const weights = await load("weights");

function answer(settings) {
  const broken = mistake(settings);
  const lines = {
    hash: toHash(settings),
    again: fromHash(toHash(settings)),
    torch: python.torchLine(settings),
    tatamu: python.tatamuLine(settings),
    keras: python.kerasLine(settings),
  };
  if (broken) return { ...lines, rule: broken.rule, fields: broken.fields, sentence: broken.sentence };
  const axes = arithmetic.axes(settings);
  const sizes = axes.map(arithmetic.outputSize);
  const { parameters, macs } = arithmetic.counts(settings);
  return {
    ...lines,
    sentence: null,
    output: [settings.outChannels, ...sizes],
    padding: axes.map((axis) => [axis.before, axis.after]),
    formula: axes.map((axis) => `${axis.name}: ${arithmetic.formula(axis)}`),
    parameters,
    macs,
    field: axes.map(arithmetic.effectiveKernel),
    shown: axes.map((axis) =>
      Array.from({ length: arithmetic.padded(axis) }, (_, i) =>
        arithmetic.source(i - axis.before, axis.size, settings.mode),
      ),
    ),
    text: python.layerText(settings),
    positions: axes.map((axis, i) =>
      Array.from({ length: sizes[i] }, (_, p) => arithmetic.positions(axis, p)),
    ),
    readers: axes.map((axis) =>
      Array.from({ length: axis.size }, (_, pixel) => arithmetic.readers(axis, settings.mode, pixel)),
    ),
    readersOfPosition: axes.map((axis) =>
      Array.from({ length: arithmetic.padded(axis) }, (_, i) => arithmetic.readersOfPosition(axis, i - axis.before)),
    ),
    unread: axes.map((axis) => arithmetic.unread(axis, settings.mode)),
    channels: Array.from({ length: settings.outChannels }, (_, channel) =>
      arithmetic.channelsRead(settings, channel),
    ),
    ...numbers(settings, sizes),
  };
}

/** What the drawing's numbers are: input, kernel, and the output of each channel, term by term and plane by plane. */
function numbers(settings, [height, width]) {
  const [rows, columns] = settings.size;
  const input = Array.from({ length: settings.channels }, (_, c) =>
    Array.from({ length: rows }, (_, i) => Array.from({ length: columns }, (_, j) => weights.inputNumber(c, i, j))),
  );
  const { taps, divisor } = weights.kernelOf(settings);
  const last = settings.outChannels - 1;
  const [first, end] = arithmetic.channelsRead(settings, last);
  const sums = Array.from({ length: height }, (_, p) =>
    Array.from({ length: width }, (_, q) => {
      const total = weights.channelsSum(settings, [first, end], p, q);
      return total / divisor + weights.biasNumber(settings, last);
    }),
  );
  const planes = input.map((plane) => [...weights.convolvePlane(settings, plane.flat(), settings.size).values]);
  return { input, taps, divisor, sums, planes };
}

process.stdout.write(JSON.stringify(JSON.parse(readFileSync(file, "utf8")).map(answer)));
