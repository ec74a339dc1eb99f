// Which input channels an output channel reads, as SVG: two columns of dots, a colour for each group.

import { channelsRead } from "./arithmetic.mjs";

const HUES = ["blue", "orange", "green", "purple"];
const MOST = 16;
const STEP = 20;

/** The channels that are drawn of `count`: all, or the first and the last with null for those between. */
export function drawn(count, chosen = 0) {
  if (count <= MOST) return Array.from({ length: count }, (_, i) => i);
  const first = Math.min(Math.max(chosen - 6, 0), count - 14);
  const middle = Array.from({ length: 14 }, (_, i) => first + i);
  return [...(first > 0 ? [null] : []), ...middle, ...(first + 14 < count ? [null] : [])];
}

/** Input channels in the upper row, output channels in the lower; `chosen` is the output channel that is shown. */
export function channelMap(settings, chosen, width) {
  const [first, end] = channelsRead(settings, chosen);
  const rows = [drawn(settings.inChannels, first), drawn(settings.outChannels, chosen)];
  const groupOf = [settings.inChannels, settings.outChannels].map((count) => (channel) =>
    Math.floor(channel / (count / settings.groups)),
  );
  const x = rows.map((row) => (i) => width / 2 + (i - (row.length - 1) / 2) * STEP);
  const [upper, lower] = [14, 74];
  const [links, dots] = [[], []];
  rows[1].forEach((o, j) =>
    rows[0].forEach((c, i) => {
      if (o === null || c === null || groupOf[0](c) !== groupOf[1](o)) return;
      const style = `${o === chosen ? "link chosen" : "link"} ${hue(groupOf[1](o))}`;
      const ends = `x1="${x[0](i)}" y1="${upper + 7}" x2="${x[1](j)}" y2="${lower - 7}"`;
      links.push([o === chosen, `<line ${ends} class="${style}"/>`]);
    }),
  );
  rows.forEach((row, side) =>
    row.forEach((channel, i) => {
      const [cx, cy] = [x[side](i), side ? lower : upper];
      if (channel === null) {
        dots.push(`<text x="${cx}" y="${cy}" class="name">…</text>`);
        return;
      }
      const active = side ? channel === chosen : channel >= first && channel < end;
      dots.push(
        `<rect x="${cx - 7}" y="${cy - 7}" width="14" height="14" rx="3" ` +
          `class="channel ${hue(groupOf[side](channel))}${active ? " active" : ""}"` +
          `${side ? ` data-channel="${channel}"` : ""}/>`,
      );
    }),
  );
  links.sort((a, b) => a[0] - b[0]);
  const content = links.map(([, line]) => line).join("") + dots.join("");
  return `<svg width="${width}" height="88" viewBox="0 0 ${width} 88" aria-hidden="true">${content}</svg>`;
}

function hue(group) {
  return HUES[group % HUES.length];
}
