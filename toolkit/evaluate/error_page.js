"use strict";
// What a listener marks: counted, kept in this browser, saved as a file. Nothing leaves the page.
const bar = document.querySelector(".bar");
const sentences = [...document.querySelectorAll(".sentence")];
const kinds = ["repeat", "skip", "mispronounced", "stop", "prosody", "fine"];
const place = "toolkit-errors-" + bar.dataset.key;
const box = (sentence, kind) => sentence.querySelector(`input[name="${kind}"]`);
const marks = sentence => kinds.filter(kind => box(sentence, kind).checked);

function load() {
  let kept = {};
  try { kept = JSON.parse(localStorage.getItem(place)) || {}; } catch (error) { kept = {}; }
  for (const sentence of sentences)
    for (const kind of kinds) box(sentence, kind).checked = (kept[sentence.dataset.id] || []).includes(kind);
}

function store() {
  const kept = {};
  for (const sentence of sentences) if (marks(sentence).length) kept[sentence.dataset.id] = marks(sentence);
  try { localStorage.setItem(place, JSON.stringify(kept)); } catch (error) { /* a browser that keeps nothing: the files still work */ }
}

function show() {
  const count = { judged: 0, any: 0 };
  for (const kind of kinds) count[kind] = 0;
  for (const sentence of sentences) {
    const found = marks(sentence);
    for (const kind of found) count[kind] += 1;
    count.judged += found.length > 0;
    count.any += found.some(kind => kind !== "fine");
    sentence.classList.toggle("judged", found.length > 0);
  }
  for (const output of document.querySelectorAll("[data-count]")) output.textContent = count[output.dataset.count];
}

function filter() {
  const suspected = document.getElementById("suspected").checked, open = document.getElementById("open").checked;
  for (const sentence of sentences)
    sentence.hidden = (suspected && sentence.dataset.suspected !== "true") || (open && marks(sentence).length > 0);
}

function changed(input) {
  const sentence = input.closest(".sentence");
  if (input.checked) for (const kind of kinds) if ((input.name === "fine") !== (kind === "fine")) box(sentence, kind).checked = false;
  store();
  show();
}

function save(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function rows() {
  return sentences.map(sentence => ({
    id: sentence.dataset.id, text: sentence.dataset.text, judged: marks(sentence).length > 0,
    ...Object.fromEntries(kinds.map(kind => [kind, box(sentence, kind).checked])),
    alignment: sentence.dataset.alignment, transcript: sentence.dataset.transcript,
  }));
}

function csv() {
  // a cell that a spreadsheet would take for a formula gets an apostrophe before it
  const cell = value => `"${String(value === true ? 1 : value === false ? 0 : value).replace(/^[=+\-@]/, "'$&").replace(/"/g, '""')}"`;
  const table = rows(), head = Object.keys(table[0]);
  return [head, ...table.map(row => head.map(name => row[name]))].map(line => line.map(cell).join(",")).join("\r\n") + "\r\n";
}

function move(by) {
  const shown = sentences.filter(sentence => !sentence.hidden);
  const here = shown.findIndex(sentence => sentence.contains(document.activeElement));
  const next = shown[Math.max(0, Math.min(shown.length - 1, here < 0 ? 0 : here + by))];
  if (next) { next.focus({ preventScroll: true }); next.scrollIntoView({ block: "start" }); }
}

function pressed(event) {
  if (!document.getElementById("keys").checked || event.ctrlKey || event.altKey || event.metaKey) return;
  const key = event.key.toLowerCase(), sentence = document.activeElement.closest(".sentence");
  if (key === "j") move(1);
  else if (key === "k") move(-1);
  else if (sentence && key === "p") {
    const audio = sentence.querySelector("audio");
    if (audio.paused) audio.play(); else audio.pause();
  } else if (sentence && kinds[key - 1]) {
    const input = box(sentence, kinds[key - 1]);
    input.checked = !input.checked;
    changed(input);
  } else return;
  event.preventDefault();
}

document.getElementById("sentences").addEventListener("change", event => changed(event.target));
document.addEventListener("keydown", pressed);
for (const name of ["suspected", "open"]) document.getElementById(name).addEventListener("change", filter);
document.getElementById("csv").addEventListener("click", () => save(`errors-${bar.dataset.name}.csv`, "text/csv", csv()));
document.getElementById("json").addEventListener("click", () =>
  save(`errors-${bar.dataset.name}.json`, "application/json", JSON.stringify({ experiment: bar.dataset.name, sentences: rows() }, null, 1) + "\n"));
load();
show();
