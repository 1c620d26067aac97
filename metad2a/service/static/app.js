// Comfort for the pages: uploads with progress, ranked networks without a reload, live curves. All works without it
// except folders and live curves. No library, nothing from elsewhere.
"use strict";
document.documentElement.classList.add("script");
const find = (id) => document.getElementById(id);
const make = (tag, attributes = {}, text = "") => {
  const drawn = ["svg", "rect", "polyline", "line", "text", "g"].includes(tag);
  const made = drawn ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== "") made.textContent = text;
  return made;
};
const percent = (value) => (value === null || value === undefined ? "–" : `${value.toFixed(1)}%`);
const span = (s) => (s < 100 ? `${Math.round(s)} s` : s < 6000 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`);
const tell = (id, words) => { const at = find(id); at.textContent = words; at.hidden = !words; };
const detail = (text) => { try { return JSON.parse(text).detail; } catch { return ""; } };

// ---- uploads
const CRC = new Uint32Array(256).map((_, n) => { for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1; return n; });
const crc32 = (bytes) => { let c = ~0; for (let i = 0; i < bytes.length; i++) c = CRC[(c ^ bytes[i]) & 255] ^ (c >>> 8); return ~c >>> 0; };

async function zipped(files) { // [[path, File]] -> Blob: a zip that packs nothing, since pictures are packed already
  const parts = [], index = [];
  let offset = 0, length = 0;
  const record = (size, write) => { const view = new DataView(new ArrayBuffer(size)); write(view); return view.buffer; };
  for (const [path, file] of files) {
    const name = new TextEncoder().encode(path), bytes = new Uint8Array(await file.arrayBuffer()), crc = crc32(bytes);
    const common = (view, at) => {
      view.setUint16(at, 20, true); view.setUint16(at + 2, 0x800, true); view.setUint32(at + 8, 33 << 16, true);
      view.setUint32(at + 10, crc, true); view.setUint32(at + 14, bytes.length, true);
      view.setUint32(at + 18, bytes.length, true); view.setUint16(at + 22, name.length, true);
    };
    parts.push(record(30, (view) => { view.setUint32(0, 0x04034b50, true); common(view, 4); }), name, bytes);
    index.push(record(46, (view) => { view.setUint32(0, 0x02014b50, true); view.setUint16(4, 20, true); common(view, 6); view.setUint32(42, offset, true); }), name);
    offset += 30 + name.length + bytes.length; length += 46 + name.length;
  }
  const end = record(22, (view) => {
    view.setUint32(0, 0x06054b50, true); view.setUint16(8, files.length, true); view.setUint16(10, files.length, true);
    view.setUint32(12, length, true); view.setUint32(16, offset, true);
  });
  return new Blob([...parts, ...index, end], { type: "application/zip" });
}

async function walk(entry, prefix = "") {
  if (entry.isFile) return [[prefix + entry.name, await new Promise((done, failed) => entry.file(done, failed))]];
  const reader = entry.createReader(), found = [];
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return found;
    for (const each of some) found.push(...await walk(each, `${prefix}${entry.name}/`));
  }
}

function send(blob, name) {
  const request = new XMLHttpRequest(), bar = find("upload-bar");
  find("upload-state").hidden = false;
  request.open("POST", `/v1/datasets?name=${encodeURIComponent(name.slice(0, 200))}&groups=${find("upload").elements.groups.value}`);
  request.setRequestHeader("content-type", "application/zip");
  request.upload.onprogress = (event) => {
    bar.value = event.loaded / event.total;
    tell("upload-words", event.loaded < event.total ? `${Math.round(100 * bar.value)}% sent` : "Reading the pictures …");
    if (event.loaded === event.total) bar.removeAttribute("value");
  };
  request.onload = () => {
    if (request.status < 300) { location.href = `/datasets/${JSON.parse(request.responseText).id}`; return; }
    find("upload-state").hidden = true;
    tell("upload-problem", detail(request.responseText) || `The server answered ${request.status}: try again.`);
  };
  request.onerror = () => { find("upload-state").hidden = true; tell("upload-problem", "The connection broke: try again."); };
  request.send(blob);
}

async function take(files, name) { // files: [[path, File]]
  const form = find("upload"), most = Number(form.dataset.most);
  tell("upload-problem", "");
  const archive = files.length === 1 && /\.(zip|npz)$/i.test(files[0][0]);
  const size = files.reduce((sum, [, file]) => sum + file.size, 0);
  if (size > most) return tell("upload-problem", `These are ${Math.round(size / 1e6)} MB, allowed are ${Math.round(most / 1e6)} MB: send fewer or smaller pictures.`);
  if (!archive && files.length > Math.min(Number(form.dataset.files), 65000)) return tell("upload-problem", `These are ${files.length} files: pack them into a zip first.`);
  if (archive) return send(files[0][1], files[0][1].name);
  find("upload-state").hidden = false;
  tell("upload-words", "Packing the folder …");
  files.sort(([a], [b]) => (a < b ? -1 : 1));
  send(await zipped(files), name);
}

function uploads(form) {
  form.addEventListener("submit", (event) => event.preventDefault());
  form.querySelector("[name=file]").addEventListener("change", (event) => { const [file] = event.target.files; if (file) take([[file.name, file]], file.name); event.target.value = ""; });
  find("folder").addEventListener("change", (event) => {
    const files = [...event.target.files].map((file) => [file.webkitRelativePath, file]);
    if (files.length) take(files, files[0][0].split("/")[0]);
    event.target.value = ""; // the same may be given again, with another choice
  });
  onDrop(form, async (transfer) => {
    const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
    const found = (await Promise.all(entries.map((entry) => walk(entry)))).flat();
    if (found.length) take(found, entries[0].name);
  });
}

function onDrop(at, act) {
  const mark = (event) => { event.preventDefault(); at.classList.toggle("over", event.type === "dragover"); };
  at.addEventListener("dragover", mark); at.addEventListener("dragleave", mark);
  at.addEventListener("drop", (event) => { mark(event); act(event.dataTransfer); });
}

// ---- parts of pages that take a while
async function part(at) {
  at.replaceChildren(make("p", { class: "waiting hint" }, "Looking at the images …"));
  const answer = await fetch(at.dataset.part, { headers: { "x-part": "1" } }).catch(() => null);
  const text = answer ? await answer.text() : "";
  if (answer && answer.ok) at.replaceChildren(...new DOMParser().parseFromString(text, "text/html").body.childNodes);
  else at.replaceChildren(make("p", { class: "problem", role: "alert" }, detail(text) || "The ranking failed: load this page again."));
}

// ---- a job, live
const WIDTH = 760, HEIGHT = 300;
const runs = new Map(); // number -> {title, curve, trained, stage}

function draw() {
  const curves = [...runs].filter(([, run]) => run.curve.length > 1), plot = find("plot");
  plot.replaceChildren();
  if (!curves.length) { plot.append(make("text", { x: WIDTH / 2, y: HEIGHT / 2, "text-anchor": "middle" }, "Curves appear with the first epochs.")); return; }
  const epochs = Math.max(...curves.map(([, run]) => run.epochs)), top = Math.max(...curves.flatMap(([, run]) => run.curve.map(([, loss]) => loss)));
  const x = (epoch) => 50 + (WIDTH - 80) * epoch / epochs, y = (loss) => HEIGHT - 34 - (HEIGHT - 60) * loss / top;
  for (const share of [0, 0.5, 1]) {
    plot.append(make("line", { class: "grid", x1: 50, x2: WIDTH - 30, y1: y(share * top), y2: y(share * top) }));
    plot.append(make("text", { x: 42, y: y(share * top) + 4, "text-anchor": "end" }, (share * top).toPrecision(2)));
    plot.append(make("text", { x: x(share * epochs), y: HEIGHT - 12, "text-anchor": "middle" }, find("names") ? `${100 * share}%` : String(Math.round(share * epochs))));
  }
  curves.forEach(([number, run]) => {
    const colour = (number - 1) % 6, [epoch, loss] = run.curve.at(-1);
    plot.append(make("polyline", { class: `curve s${colour}`, points: run.curve.map(([e, l]) => `${x(e).toFixed(1)},${y(l).toFixed(1)}`).join(" ") }));
    plot.append(make("text", { class: `f${colour}`, x: x(epoch) + 5, y: y(loss) - 5 }, String(number)));
  });
}

function point(data) { // of a fine-tuning, whose progress is a share; one that begins anew is another curve
  let number = Math.max(0, ...[...runs].filter(([, run]) => run.title === data.title).map(([known]) => known));
  if (!number || runs.get(number).curve.at(-1)[0] > data.progress) {
    number = runs.size + 1;
    runs.set(number, { title: data.title, curve: [], epochs: 1 });
    find("names").append(make("li", { class: "mono" }, data.title));
    find("tuning").hidden = false;
  }
  runs.get(number).curve.push([data.progress, data.loss]);
}

function row(number) {
  const run = runs.get(number), body = find("rows"), trained = run.trained;
  let line = find(`run-${number}`);
  if (!line) { line = make("tr", { id: `run-${number}` }); body.append(line); }
  const words = { started: "begins", epoch: "training", trained: "trained", stopped: "given up, hopeless", kept: "known from before", tested: "the best: tested" };
  const cells = [["th", String(number)], ["td", run.title, "mono"], ["td", trained ? percent(trained.expected_accuracy) : "–", "number"],
    ["td", trained ? percent(trained.valid_accuracy) : percent(run.valid), "number"], ["td", trained ? String(trained.epochs) : `${run.epoch || 0} of ${run.epochs || "?"}`, "number"],
    ["td", trained ? span(trained.trained_seconds) : "–", "number"], ["td", words[run.stage] || run.stage]];
  line.replaceChildren(...cells.map(([tag, text, kind]) => make(tag, { ...(kind && { class: kind }), ...(tag === "th" && { scope: "row" }) }, text)));
  line.classList.toggle("winner", run.stage === "tested");
}

function follow(job) {
  const stream = new EventSource(`/v1/jobs/${job.dataset.job}/events`), count = Number(job.dataset.count), budget = Number(job.dataset.budget);
  const live = ["queued", "running"].includes(job.dataset.state);
  let waiting = false;
  const later = () => { if (!waiting) { waiting = true; requestAnimationFrame(() => { waiting = false; draw(); }); } };
  const state = (text) => { find("state").textContent = text; find("state").className = `state ${text}`; };
  const progress = (data, done) => {
    if (!live || !find("bar")) return;
    const share = Math.max(Math.min(1, done / count), budget ? Math.min(1, data.seconds / budget) : 0);
    find("bar").value = share;
    const left = share > 0 ? Math.min(data.seconds * (1 - share) / share, budget ? budget - data.seconds : Infinity) : 0;
    if (share > 0.02) find("left").textContent = `About ${span(Math.max(1, left))} left.`;
  };
  const update = (stage) => (event) => {
    const data = JSON.parse(event.data), number = data.number;
    if (!runs.has(number)) runs.set(number, { curve: [] });
    const run = runs.get(number);
    Object.assign(run, { title: data.title, stage });
    if (stage === "started") run.curve = [];
    if (stage === "epoch") { run.curve.push([data.epoch, data.train_loss]); run.epoch = data.epoch; run.epochs = data.epochs; run.valid = data.valid_accuracy ?? run.valid; }
    if (data.trained_seconds !== undefined) run.trained = data;
    if (live) { state("running"); tell("now", stage === "tested" ? "testing the best" : `network ${number} of ${data.count}`); }
    progress(data, number - 1 + (stage === "epoch" ? data.epoch / data.epochs : stage === "started" ? 0 : 1));
    row(number); later();
  };
  for (const stage of ["started", "epoch", "trained", "stopped", "kept", "tested"]) stream.addEventListener(stage, update(stage));
  stream.addEventListener("reading", () => { if (live) { state("running"); tell("now", "reads the images and ranks the networks"); } });
  stream.addEventListener("judging", () => { if (live) tell("now", "tests the best"); });
  stream.addEventListener("exporting", () => { if (live) tell("now", "writes the winner's files"); });
  stream.addEventListener("line", (event) => {
    const data = JSON.parse(event.data);
    find("lines").append(make("li", {}, data.text));
    if (data.seconds !== undefined) progress(data, 0);
  });
  stream.addEventListener("now", (event) => {
    const data = JSON.parse(event.data);
    if (live) { state("running"); tell("now", data.text); progress(data, 0); }
  });
  stream.addEventListener("curve", (event) => {
    const data = JSON.parse(event.data);
    point(data); later();
    if (live) { state("running"); tell("now", data.text); progress(data, 0); }
  });
  stream.addEventListener("end", () => { stream.close(); if (live) location.reload(); });
}

// ---- a found network
function predicting(form) {
  const ask = async (files) => {
    const pictures = [...files].slice(0, 64), body = new FormData(), shown = find("predictions");
    if (!pictures.length) return;
    pictures.forEach((file) => body.append("images", file));
    tell("predict-problem", "");
    shown.replaceChildren(make("p", { class: "hint" }, "Looking …"));
    const answer = await fetch(form.action, { method: "POST", body }).catch(() => null);
    const told = answer ? await answer.json() : { detail: "The connection broke: try again." };
    shown.replaceChildren();
    if (!answer || !answer.ok) return tell("predict-problem", told.detail);
    for (const [i, each] of told.predictions.entries()) shown.append(await prediction(each, told.classes, pictures[i]));
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  form.querySelector("input").addEventListener("change", (event) => ask(event.target.files));
  onDrop(form.closest(".panel"), (transfer) => ask(transfer.files));
}

async function prediction(each, classes, file) {
  const at = make("div", { class: "prediction" }), words = make("div");
  const url = await new Promise((done) => { const reader = new FileReader(); reader.onload = () => done(reader.result); reader.readAsDataURL(file); });
  at.append(make("img", { src: url, alt: each.file }), words);
  words.append(make("strong", {}, each.best));
  const ranked = each.probabilities.map((share, i) => [share, classes[i]]).sort((a, b) => b[0] - a[0]).slice(0, 3);
  for (const [share, name] of ranked) {
    const line = make("div", { class: "share" }), bar = make("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" });
    bar.append(make("rect", { width: Math.max(0.5, 100 * share), height: 8, rx: 2 }));
    line.append(make("span", {}, name), bar, make("span", { class: "number" }, percent(100 * share)));
    words.append(line);
  }
  return at;
}

function mistakes(table) {
  const buttons = [...table.querySelectorAll(".cell")], pictures = [...document.querySelectorAll(".mistakes li")];
  for (const button of buttons) button.addEventListener("click", () => {
    const chosen = button.getAttribute("aria-pressed") !== "true";
    buttons.forEach((each) => each.setAttribute("aria-pressed", String(chosen && each === button)));
    const same = (each) => each.dataset.truth === button.dataset.truth && each.dataset.said === button.dataset.said;
    pictures.forEach((each) => { each.hidden = chosen && !same(each); });
    const shown = pictures.filter((each) => !each.hidden).length;
    tell("mistakes-shown", chosen ? `Shown: ${shown} of ${button.getAttribute("aria-label").replace(": show them", "")}. Press the number again for all.` : "");
    if (chosen) find("wrong").scrollIntoView({ block: "nearest" });
  });
}

// ---- start
if (find("upload")) uploads(find("upload"));
if (find("job")) { if (find("plot")) draw(); follow(find("job")); }
if (find("mistakes-shown") && document.querySelector(".confusion")) mistakes(document.querySelector(".confusion"));
if (find("predict")) predicting(find("predict"));
for (const at of document.querySelectorAll("[data-part]")) {
  const box = at.closest("details");
  if (!box || box.open) part(at); else box.addEventListener("toggle", () => part(at), { once: true });
}
document.querySelectorAll("[data-submits] select").forEach((each) => each.addEventListener("change", () => each.form.submit()));
document.querySelectorAll("[data-copy]").forEach((each) => each.addEventListener("click", async () => {
  await navigator.clipboard.writeText(find(each.dataset.copy).textContent);
  each.textContent = "Copied";
}));
