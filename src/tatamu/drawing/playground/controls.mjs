// The settings' controls: a slider and a number for each value, made once and shown anew at each change.

import { MODES, STRINGS, axes } from "./arithmetic.mjs";
import { element, options } from "./elements.mjs";
import { LIMITS, PADDINGS, PAIRS, limited } from "./settings.mjs";
import { PRESETS } from "./weights.mjs";

/** How far the sliders go; the numbers beside them go on to LIMITS. */
const SLIDERS = { size: 24, channels: 16, kernel: 11, stride: 6, dilation: 6, sides: 8, groups: 16 };
const SIDES = ["top", "bottom", "left", "right"];

/**
 * Fills `root`; `change(patch)` is called with what the user sets. Returns a function (settings, words, mistake) that
 * shows them.
 */
export function makeControls(root, change) {
  let current = null;
  const shows = [];
  const input = fieldset("groupInput", shows);
  const layer = fieldset("groupLayer", shows);
  root.append(input, layer);

  const single = (parent, field, limit, set, extra = []) => {
    const row = numberRow(field, limit, (value) => change(set(value, current)));
    const block = fieldBlock(field, [row.node], extra, shows);
    shows.push((settings, words) => row.show(settings[field], words.labels[field], words));
    parent.append(block);
    return row;
  };

  single(input, "channels", "channels", (value, settings) => ({
    channels: value,
    ...(settings.apart.includes("channels") ? {} : { inChannels: value }),
  }));
  pair(input, "size");

  const follow = check("follow", (on) =>
    change({
      apart: toggled(current.apart, "channels", !on),
      ...(on ? { inChannels: current.channels } : {}),
    }),
  );
  const inChannels = single(layer, "inChannels", "channels", (value) => ({ inChannels: value }), [follow.node]);
  shows.push((settings, words) => {
    const apart = settings.apart.includes("channels");
    follow.show(!apart, words.follow, `in_channels: ${words.follow}`);
    inChannels.enable(apart);
  });
  single(layer, "outChannels", "channels", (value) => ({ outChannels: value }));
  for (const name of PAIRS.slice(0, 2)) pair(layer, name);
  padding(layer);
  pair(layer, PAIRS[2]);
  const depthwise = element("button", { type: "button", id: "groups-depthwise", className: "small" });
  depthwise.addEventListener("click", () => change({ groups: Math.max(current.inChannels, 1) }));
  shows.push((_, words) => {
    depthwise.textContent = words.depthwiseButton;
  });
  single(layer, "groups", "groups", (value) => ({ groups: value }), [depthwise]);
  choice(layer, "mode", MODES, "modes");
  const bias = check("bias", (on) => change({ bias: on }));
  layer.append(fieldBlock("bias", [], [bias.node], shows));
  shows.push((settings) => bias.show(settings.bias, settings.bias ? "True" : "False", "bias"));
  choice(layer, "weights", Object.keys(PRESETS), "weightNames");

  function pair(parent, name) {
    const rows = [0, 1].map((axis) =>
      numberRow(`${name}-${axis}`, name, (value) => {
        const apart = current.apart.includes(name);
        change({ [name]: current[name].map((old, i) => (!apart || i === axis ? value : old)) });
      }),
    );
    const apart = check(`${name}-apart`, (on) =>
      change({
        apart: toggled(current.apart, name, on),
        ...(on ? {} : { [name]: [current[name][0], current[name][0]] }),
      }),
    );
    parent.append(fieldBlock(name, rows.map((row) => row.node), [apart.node], shows));
    shows.push((settings, words) => {
      const on = settings.apart.includes(name);
      const label = words.labels[name];
      apart.show(on, words.apart, words.apartOf(label));
      rows[0].show(settings[name][0], on ? `${label}, ${words.height}` : label, words, on ? words.height : "");
      rows[1].show(settings[name][1], `${label}, ${words.width}`, words, words.width);
      rows[1].node.hidden = !on;
    });
  }

  function padding(parent) {
    const kind = element("select", { id: "padding" });
    kind.addEventListener("change", () => {
      const [[top], [left]] = current.sides;
      const sides = { int: [top, top, top, top], pair: [top, top, left, left] }[kind.value];
      change({
        padding: kind.value,
        ...(sides ? { sides: [sides.slice(0, 2), sides.slice(2)] } : {}),
      });
    });
    const rows = SIDES.map((side, i) =>
      numberRow(`padding-${side}`, "sides", (value) => {
        const reached = { int: [0, 1, 2, 3], pair: i < 2 ? [0, 1] : [2, 3], sides: [i] }[current.padding];
        const flat = current.sides.flat().map((old, j) => (reached.includes(j) ? value : old));
        change({ sides: [flat.slice(0, 2), flat.slice(2)] });
      }),
    );
    const amounts = element("p", { className: "amounts" });
    parent.append(fieldBlock("padding", [kind, ...rows.map((row) => row.node), amounts], [], shows));
    shows.push((settings, words) => {
      options(kind, PADDINGS, words.paddings, settings.padding);
      kind.setAttribute("aria-label", words.labels.padding);
      const used = { int: [0], pair: [0, 2], sides: [0, 1, 2, 3] }[settings.padding] ?? [];
      const axisName = settings.padding === "pair";
      rows.forEach((row, i) => {
        const name = axisName ? words[i < 2 ? "height" : "width"] : words.labels[SIDES[i]];
        const visible = settings.padding === "int" ? "" : name;
        row.node.hidden = !used.includes(i);
        row.show(settings.sides.flat()[i], visible ? `padding, ${name}` : "padding", words, visible);
      });
      const named = STRINGS.includes(settings.padding);
      amounts.hidden = !named;
      const [rowsAxis, columnsAxis] = axes(settings);
      amounts.textContent = named
        ? words.amounts(rowsAxis.before, rowsAxis.after, columnsAxis.before, columnsAxis.after)
        : "";
    });
  }

  function choice(parent, field, values, names) {
    const select = element("select", { id: field });
    select.addEventListener("change", () => change({ [field]: select.value }));
    parent.append(fieldBlock(field, [select], [], shows));
    shows.push((settings, words) => {
      options(select, values, words[names], settings[field]);
      select.setAttribute("aria-label", words.labels[field]);
    });
  }

  return (settings, words, mistake) => {
    current = settings;
    for (const show of shows) show(settings, words);
    for (const block of root.querySelectorAll("[data-field]")) {
      const blamed = Boolean(mistake?.fields.includes(block.dataset.field));
      block.classList.toggle("blamed", blamed);
      for (const field of block.querySelectorAll("input, select")) field.ariaInvalid = String(blamed);
    }
  };
}

function toggled(names, name, on) {
  const others = names.filter((other) => other !== name);
  return on ? [...others, name] : others;
}

function fieldset(key, shows) {
  const legend = element("legend");
  shows.push((_, words) => {
    legend.textContent = words[key];
  });
  return element("fieldset", {}, [legend]);
}

/** A block with the argument's name, a hint, and the controls for it. */
function fieldBlock(field, content, beside, shows) {
  const name = element("span", { className: "argument" });
  const hint = element("span", { className: "hint" });
  const head = element("div", { className: "head" }, [name, hint, ...beside]);
  const block = element("div", { className: "field" }, [head, ...content]);
  block.dataset.field = field;
  shows.push((_, words) => {
    name.textContent = words.labels[field];
    hint.textContent = words.hints[field];
  });
  return block;
}

function numberRow(id, limit, set) {
  const [least, greatest] = LIMITS[limit];
  const slider = element("input", { type: "range", id: `${id}-range`, min: least, max: SLIDERS[limit], step: 1 });
  const number = element("input", { type: "number", id: `${id}-number`, min: least, max: greatest, step: 1 });
  const side = element("span", { className: "side" });
  slider.addEventListener("input", () => set(Number(slider.value)));
  number.addEventListener("input", () => {
    if (number.validity.badInput || number.value === "") return;
    set(limited(limit, Math.round(Number(number.value))));
  });
  const node = element("div", { className: "row" }, [side, slider, number]);
  let shown = 0;
  number.addEventListener("blur", () => {
    number.value = shown;
  });
  return {
    node,
    enable(on) {
      slider.disabled = !on;
      number.disabled = !on;
    },
    show(value, label, words, visible = "") {
      shown = value;
      side.textContent = visible;
      slider.value = value;
      if (document.activeElement !== number || Number(number.value) !== value) number.value = value;
      slider.setAttribute("aria-label", label);
      slider.setAttribute("aria-valuetext", value);
      number.setAttribute("aria-label", words.value(label));
    },
  };
}

function check(id, set) {
  const box = element("input", { type: "checkbox", id });
  const text = element("span");
  box.addEventListener("change", () => set(box.checked));
  return {
    node: element("label", { className: "check" }, [box, text]),
    show(on, visible, label) {
      box.checked = on;
      text.textContent = visible;
      box.setAttribute("aria-label", label);
    },
  };
}
