// The page: what is set, and everything that shows it.

import { makeControls } from "./controls.mjs";
import { makeLines } from "./copying.mjs";
import { byId, options, setText } from "./elements.mjs";
import { english } from "./english.mjs";
import { EXAMPLES } from "./examples.mjs";
import { showChannels, showFormulas, showSum, showVerdict } from "./figures.mjs";
import { japanese } from "./japanese.mjs";
import { makePhoto } from "./photo.mjs";
import { mistake as mistakeOf } from "./rules.mjs";
import { defaults, fromHash, toHash } from "./settings.mjs";
import { makeStage } from "./stage.mjs";

const LANGUAGES = { en: english, ja: japanese };
const SETTLED = 250; // Milliseconds without a change, after which the address follows.
const THEMES = ["auto", "light", "dark"];

let settings = fromHash(location.hash);
let language = new URLSearchParams(location.hash.slice(1)).get("lang") ?? navigator.language.slice(0, 2);
if (!LANGUAGES[language]) language = "en";
let waiting = 0;
let chosenLanguage = location.hash.includes("lang=");

const words = () => LANGUAGES[language];
const stage = makeStage((view) => {
  showSum(settings, view, words());
  showChannels(settings, view.channel, words());
});
const showControls = makeControls(byId("controls"), change);
const showPhoto = makePhoto(change);
const showLines = makeLines();

function change(patch) {
  settings = { ...settings, ...patch };
  show();
  // A slider on its way changes often, and browsers refuse an address that does.
  clearTimeout(waiting);
  waiting = setTimeout(() => history.replaceState(null, "", `#${hash()}`), SETTLED);
}

function hash() {
  return toHash(settings) + (chosenLanguage ? `&lang=${language}` : "");
}

function show() {
  const mistake = mistakeOf(settings);
  showVerdict(settings, mistake, words());
  showFormulas(settings, mistake, words());
  showControls(settings, words(), mistake);
  for (const id of ["sums", "channel-map"]) byId(id).closest("section").hidden = Boolean(mistake);
  byId("legend").hidden = Boolean(mistake);
  if (mistake) stage.showBroken(settings, mistake.rule, words());
  else stage.show(settings, words());
  showPhoto(settings, words());
  showLines(settings, words(), `${location.href.split("#")[0]}#${hash()}`);
}

/** Everything that has words of its own, in the language that is chosen. */
function showWords() {
  document.documentElement.lang = language;
  document.title = words().title;
  for (const node of document.querySelectorAll("[data-words]")) setText(node, words()[node.dataset.words]);
  for (const node of document.querySelectorAll("[data-label]")) {
    node.setAttribute("aria-label", words()[node.dataset.label]);
  }
  const names = Object.fromEntries(Object.entries(LANGUAGES).map(([key, { name }]) => [key, name]));
  options(byId("language"), Object.keys(LANGUAGES), names, language);
  options(byId("theme"), THEMES, words().themes, document.documentElement.dataset.theme);
  const examples = { none: words().chooseExample, ...words().examples };
  options(byId("example"), ["none", ...Object.keys(EXAMPLES)], examples, "none");
}

byId("language").addEventListener("change", (event) => {
  language = event.target.value;
  chosenLanguage = true;
  showWords();
  change({});
});
byId("theme").addEventListener("change", (event) => {
  document.documentElement.dataset.theme = event.target.value;
});
byId("example").addEventListener("change", (event) => {
  const example = EXAMPLES[event.target.value];
  if (example) change({ ...fromHash(example), picture: settings.picture, weights: settings.weights });
  event.target.value = "none";
});
byId("reset").addEventListener("click", () => change(defaults()));
byId("channel").addEventListener("input", (event) => stage.showChannel(Number(event.target.value)));
byId("channel-map").addEventListener("click", (event) => {
  const { channel } = event.target.dataset;
  if (channel !== undefined) stage.showChannel(Number(channel));
});
addEventListener("hashchange", () => {
  settings = fromHash(location.hash);
  show();
});

document.documentElement.dataset.theme = "auto";
showWords();
show();
