// The page: what is open, what the server says of it, and the panel beside it.

import { Viewer } from "./viewer.js";

const $ = (id) => document.getElementById(id);
const viewer = new Viewer($("canvas"), showPlace);
const opacities = { classes: 30, map: 60 }; // percent: a map says nothing where it is faint
const hidden = new Set(); // names of classes that are switched off
let models = [];
let mostBytes = Infinity;
let source = null; // a file, or "example"
let answers = new Map(); // of this source and model, by slice
let current = null; // slice, once one is shown
let asking = new AbortController();

$("model").addEventListener("change", () => { answers = new Map(); describeModel(); ask(current); });
$("file").addEventListener("change", () => open($("file").files));
$("example").addEventListener("click", () => openSource("example"));
$("slice").addEventListener("input", () => { $("place").value = place(); });
$("slice").addEventListener("change", () => ask($("slice").valueAsNumber - 1));
$("opacity").addEventListener("input", () => {
  opacities[kind()] = $("opacity").value;
  showLayer();
});
for (const radio of document.getElementsByName("layer")) radio.addEventListener("change", showLayer);
$("closer").addEventListener("click", () => viewer.zoom(1.5));
$("farther").addEventListener("click", () => viewer.zoom(1 / 1.5));
$("fit").addEventListener("click", () => viewer.fit());

addEventListener("dragover", (event) => { event.preventDefault(); $("stage").classList.add("over"); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) $("stage").classList.remove("over"); });
addEventListener("drop", (event) => {
  event.preventDefault();
  $("stage").classList.remove("over");
  open(event.dataTransfer.files);
});

await listModels();
ask(null); // what was opened meanwhile

async function listModels() {
  for (;;) {
    try {
      const response = await fetch("page/models"), found = await response.json();
      if (response.ok && found.models.length) {
        models = found.models;
        mostBytes = found.most_bytes;
        break;
      }
      fail("The models are being loaded …");
    } catch {
      fail("The server does not answer; is it still running?");
    }
    await new Promise((wake) => setTimeout(wake, 1000));
  }
  $("error").hidden = true;
  $("model").replaceChildren(...models.map(({ name }) => new Option(name)));
  $("model").disabled = models.length < 2;
  $("example").disabled = false;
  describeModel();
}

function chosenModel() {
  return models.find(({ name }) => name === $("model").value);
}

function describeModel() {
  const { version, problem } = chosenModel();
  $("version").textContent = version ? `version ${version}` : "";
  if (problem) fail(problem); else $("error").hidden = true;
}

function open(files) {
  if (!files.length) return;
  if (files.length > 1) return fail(`One file at a time, please; these are ${files.length}.`);
  openSource(files[0]);
}

function openSource(what) {
  source = what;
  answers = new Map();
  current = null;
  ask(null);
}

/** Asks the server for a slice, the middle one for null, and shows it. */
async function ask(slice) {
  asking.abort();
  if (source === null || !chosenModel()) return;
  asking = new AbortController();
  const { signal } = asking;
  busy(true);
  try {
    const answer = answers.get(slice) ?? await request(slice, signal);
    if (signal.aborted) return;
    answers.set(answer.slice, answer);
    current = answer.slice;
    show(answer);
  } catch (error) {
    if (signal.aborted) return;
    fail(error instanceof TypeError ? "The server does not answer; is it still running?" : error.message);
  }
  busy(false);
}

async function request(slice, signal) {
  if (source.size > mostBytes) {
    throw new Error(`This file has ${megabytes(source.size)}, the server takes ${megabytes(mostBytes)} `
      + "(--max-body-mb); tfadvseg predict has no such limit.");
  }
  const query = new URLSearchParams({ model: $("model").value });
  if (slice !== null) query.set("slice", slice);
  const call = source === "example" ? "example" : "segment";
  const body = source === "example" ? null : await content(source);
  const headers = { "Content-Type": "application/octet-stream" };
  const response = await fetch(`page/${call}?${query}`, { method: "POST", body, headers, signal });
  const answer = await response.json().catch(() => null);
  if (!response.ok || !answer) throw new Error(answer?.error ?? `${response.status} ${response.statusText}`);
  const maps = await Promise.all(Object.entries(answer.maps).map(
    async ([name, text]) => [name, await unpack(bytes(text))]));
  const picture = await createImageBitmap(new Blob([bytes(answer.image)], { type: "image/png" }));
  return { ...answer, maps: Object.fromEntries(maps), picture };
}

async function content(file) {
  try {
    return await file.arrayBuffer();
  } catch {
    throw new Error(`${file.name} cannot be read; is it a folder, or has it changed? Open it again.`);
  }
}

function show(answer) {
  $("error").hidden = $("welcome").hidden = true;
  for (const id of ["canvas", "zoom", "probe", "panel"]) $(id).hidden = false;
  $("name").textContent = source === "example" ? "Example: synthetic chest CT" : source.name;
  $("version").textContent = `version ${answer.version}`;
  $("slices").hidden = answer.slices < 2;
  $("slice").max = answer.slices;
  $("slice").value = answer.slice + 1;
  $("place").value = place();
  showFacts(answer);
  showClasses(answer);
  $("has-probability").hidden = !answer.maps.probability;
  $("has-confidence").hidden = !answer.maps.confidence;
  if (!(layer() in answer.maps)) document.querySelector("[name=layer]").checked = true;
  showLayer();
  showDownloads(answer);
  viewer.show(answer);
  $("canvas").setAttribute("aria-label", spoken(answer));
}

function showFacts({ width, height, slices, pixel_mm, shown, notes }) {
  const size = slices > 1 ? `${width} × ${height}, ${slices} slices` : `${width} × ${height}`;
  const pixel = pixel_mm ? `${short(pixel_mm[1])} × ${short(pixel_mm[0])} mm` : "unknown: no areas in mm²";
  const facts = { Size: size, Pixel: pixel, Window: `${short(shown[0])} to ${short(shown[1])}` };
  $("facts").replaceChildren(...Object.entries(facts).flatMap(
    ([name, value]) => [element("dt", name), element("dd", value)]));
  $("notes").replaceChildren(...notes.map((note) => element("li", note)));
}

function showClasses({ classes, maps }) {
  const trust = maps.confidence ? "confidence" : maps.probability ? "probability" : null;
  $("trust").textContent = trust ? trust[0].toUpperCase() + trust.slice(1) : "";
  $("meaning").textContent = {
    confidence: "Confidence: how much the discriminator takes the mask for an expert's; the table has the "
      + "mean over each class. Compare it between places and images: it is no chance of being right. "
      + "Probability: the network's own, not calibrated.",
    probability: "Exported without confidence. Probability: the network's own, not calibrated; the table has "
      + "the mean over each class.",
  }[trust] ?? "The model tells neither probability nor confidence.";
  document.querySelector("#classes tbody").replaceChildren(...classes.map((one) => classRow(one, trust)));
}

function classRow({ index, name, colour, pixels, area_mm2, ...means }, trust) {
  const box = element("input");
  box.type = "checkbox";
  box.checked = !hidden.has(name);
  const update = () => {
    if (box.checked) hidden.delete(name); else hidden.add(name);
    viewer.setVisible(index, box.checked);
  };
  box.addEventListener("change", update);
  update();
  const swatch = element("i");
  swatch.style.background = colour;
  const label = element("label", box, swatch, name), head = element("th", label);
  head.scope = "row";
  const count = `${pixels.toLocaleString("en")} px`;
  const size = area_mm2 === null ? element("td", count) : element("td", area(area_mm2), element("small", count));
  const row = element("tr", head, pixels ? size : element("td", "none"), element("td", share(means[trust])));
  row.classList.toggle("absent", !pixels);
  row.dataset.name = name;
  return row;
}

function showLayer() {
  $("opacity").value = opacities[kind()];
  $("percent").value = `${opacities[kind()]} %`;
  $("scale").hidden = kind() === "classes";
  viewer.setLayer(layer(), opacities[kind()] / 100);
}

function showDownloads({ mask, nifti, slice, slices }) {
  const stem = source === "example" ? "example" : source.name.replace(/\.(nii\.gz|[^.]+)$/i, "");
  const name = slices > 1 ? `${stem}_slice${String(slice + 1).padStart(3, "0")}_mask` : `${stem}_mask`;
  for (const [id, content, kind, ending] of [
    ["png", mask, "image/png", ".png"], ["nifti", nifti, "application/gzip", ".nii.gz"],
  ]) {
    const link = $(id);
    URL.revokeObjectURL(link.href);
    link.hidden = content === null;
    link.download = name + ending;
    if (content !== null) link.href = URL.createObjectURL(new Blob([bytes(content)], { type: kind }));
  }
}

function showPlace(place) {
  const probe = $("probe");
  if (!place) return probe.replaceChildren("Point at the image to read it.");
  const { x, y, found, probability, confidence } = place;
  const parts = [`x ${x}, y ${y} · `];
  if (found) {
    const swatch = element("i");
    swatch.style.background = found.colour;
    parts.push(swatch);
  }
  parts.push(element("b", found ? found.name : "background"));
  if (probability !== undefined) parts.push(` · probability ${share(probability)}`);
  if (confidence !== undefined) parts.push(` · confidence ${share(confidence)}`);
  probe.replaceChildren(...parts);
}

/** One line on what went wrong; no older result stays that could be taken for this image's. */
function fail(message) {
  $("error").textContent = message;
  $("error").hidden = $("welcome").hidden = false;
  for (const id of ["canvas", "zoom", "probe", "panel", "slices"]) $(id).hidden = true;
}

function busy(is) {
  $("busy").hidden = !is;
  $("stage").classList.toggle("busy", is);
  $("stage").setAttribute("aria-busy", is);
  if (!is) $("file").value = ""; // so that the same file can be chosen again
}

function spoken({ slice, slices, classes }) {
  const found = classes.filter(({ pixels }) => pixels).map(
    ({ name, pixels, area_mm2 }) => `${name} ${area_mm2 === null ? `${pixels} pixels` : area(area_mm2)}`);
  return `Slice ${slice + 1} of ${slices}: ${found.join(", ") || "no class found"}`;
}

function layer() { return document.querySelector("[name=layer]:checked").value; }
function kind() { return layer() === "classes" ? "classes" : "map"; }
function place() { return `${$("slice").value} of ${$("slice").max}`; }
function share(value) { return value === null || value === undefined ? "" : `${Math.round(value * 100)} %`; }
function short(value) { return String(Number(value.toPrecision(4))).replace("-", "−"); }
function megabytes(size) { return `${(size / 1e6).toFixed(1)} MB`; }

function area(mm2) {
  const digits = mm2 < 100 ? 1 : 0;
  return `${mm2.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })} mm²`;
}

function element(name, ...content) {
  const made = document.createElement(name);
  made.append(...content);
  return made;
}

function bytes(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

async function unpack(packed) {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
