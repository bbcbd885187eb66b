# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The script of the page of a fleet: filters, order, the hours of a day, charts. It makes text nodes of what hosts reported, never HTML."""

from __future__ import annotations

SCRIPT = r"""
"use strict";
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const {dates, states, jobs} = data;
const byLetter = new Map(states.map(([name, css, letter, words, meaning], rank) => [letter, {name, css, letter, words, meaning, rank}]));
const $ = id => document.getElementById(id);
const strips = [], rows = [];
for (const [body, list] of [[$("strips"), strips], [$("rows"), rows]])
  for (const row of body.rows) list[+row.dataset.i] = row;
const controls = {q: $("q"), job: $("job"), show: $("show"), sort: $("sort")};
let order = jobs.map((job, index) => index);
let visible = order;
let chosen = null; // {i, day, open}

// -- data --

const element = (tag, css, text) => {
  const made = document.createElement(tag);
  if (css) made.className = css;
  if (text !== undefined) made.textContent = text;
  return made;
};

function days(i) {
  const job = jobs[i];
  if (job.days === undefined) {
    job.days = [];
    if (job.u && dates.length)
      for (const run of job.d.split(",")) {
        const [packed, count] = run.split("*");
        const letters = packed.replace(/(\D)(\d+)/g, (all, letter, times) => letter.repeat(+times));
        for (let n = +(count || 1); n > 0; n--) job.days.push(letters);
      }
  }
  return job.days;
}

function sums(i) {
  const job = jobs[i];
  if (!job.sums)
    job.sums = [job.s, job.b].map(text => job.u ? text.split(",").map(Number) : []);
  return job.sums;
}

const stateOf = letters => {
  let worst = null;
  for (const letter of letters) {
    const state = byLetter.get(letter);
    if (state && (!worst || state.rank < worst.rank)) worst = state;
  }
  return worst || byLetter.get("-");
};

const counted = letters => {
  const counts = new Map();
  for (const letter of letters) if (byLetter.has(letter)) counts.set(letter, (counts.get(letter) || 0) + 1);
  return states.filter(state => counts.has(state[2])).map(state => counts.get(state[2]) + " " + state[3]).join(", ") || "no log expected";
};

const size = bytes => {
  if (bytes < 1024) return bytes + " B";
  let unit = -1;
  do { bytes /= 1024; unit++; } while (bytes >= 1024 && unit < 4);
  return bytes.toFixed(1) + " " + ["KiB", "MiB", "GiB", "TiB", "PiB"][unit];
};
const ratio = (logs, stored) => stored ? (logs / stored).toFixed(1) : "-";

const has = {};
function shows(i, state) {
  const known = has[state] || (has[state] = []);
  if (known[i] === undefined) {
    const letter = states.find(each => each[0] === state)[2];
    known[i] = days(i).some(letters => letters.includes(letter));
  }
  return known[i];
}

// -- filter and order --

const number = (i, place) => jobs[i].n[place];
const text = (i, place) => jobs[i].t[place] || "~";
const compared = (a, b) => a < b ? -1 : a > b ? 1 : 0;
const orders = {
  worst: (a, b) => a - b,
  host: (a, b) => compared(jobs[a].h, jobs[b].h) || compared(jobs[a].j, jobs[b].j),
  job: (a, b) => compared(jobs[a].j, jobs[b].j),
  missing: (a, b) => (jobs[b].c.missing || 0) - (jobs[a].c.missing || 0),
  success: (a, b) => compared(jobs[a].t[0], jobs[b].t[0]),
  next: (a, b) => compared(text(a, 1), text(b, 1)),
  archives: (a, b) => number(b, 0) - number(a, 0),
  logs: (a, b) => number(b, 1) - number(a, 1),
  size: (a, b) => number(b, 2) - number(a, 2),
  ratio: (a, b) => (number(a, 1) / (number(a, 2) || NaN) || Infinity) - (number(b, 1) / (number(b, 2) || NaN) || Infinity) || 0,
  waiting: (a, b) => number(b, 3) - number(a, 3),
  key: (a, b) => compared(text(a, 2), text(b, 2)),
};
const descending = new Set(["missing", "archives", "logs", "size", "waiting"]);

function sortRows() {
  const by = orders[controls.sort.value] || orders.worst;
  order = jobs.map((job, index) => index).sort((a, b) => by(a, b) || a - b);
  for (const [body, list] of [[$("strips"), strips], [$("rows"), rows]]) {
    const all = document.createDocumentFragment();
    for (const i of order) all.append(list[i]);
    body.append(all);
  }
  for (const button of document.querySelectorAll("button[data-sort]")) {
    const head = button.closest("th"), name = button.dataset.sort;
    if (name === controls.sort.value) head.setAttribute("aria-sort", descending.has(name) ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
}

function filterRows() {
  const words = controls.q.value.toLowerCase().split(/\s+/).filter(Boolean);
  const job = controls.job.value, show = controls.show.value;
  visible = order.filter(i => {
    const one = jobs[i];
    if (job && one.j !== job) return false;
    if (show === "problems" ? one.l === 2 : show && !shows(i, show)) return false;
    if (!words.length) return true;
    const searched = (one.h + " " + one.j + " " + ["failed", "warning", "ok"][one.l] + " " + one.x).toLowerCase();
    return words.every(word => searched.includes(word));
  });
  const kept = new Set(visible);
  for (const i of order) strips[i].hidden = rows[i].hidden = !kept.has(i);
  const all = jobs.length + (jobs.length === 1 ? " row" : " rows");
  $("count").textContent = visible.length === jobs.length ? all : visible.length + " of " + all;
  $("none").hidden = visible.length > 0;
  const first = visible.find(i => stripOf(i));
  if (!chosen || !kept.has(chosen.i)) tabbable(first);
  drawTrends();
}

// -- the address --

function write() {
  const parameters = new URLSearchParams();
  for (const [name, control] of Object.entries(controls))
    if (control.value && !(name === "sort" && control.value === "worst")) parameters.set(name, control.value);
  if (chosen && chosen.open) {
    parameters.set("at", jobs[chosen.i].h + "/" + jobs[chosen.i].j);
    parameters.set("day", dates[chosen.day]);
  }
  const hash = parameters.toString();
  history.replaceState(null, "", hash ? "#" + hash : location.pathname + location.search);
}

function read() {
  const parameters = new URLSearchParams(location.hash.slice(1));
  for (const [name, control] of Object.entries(controls)) {
    const value = parameters.get(name), usual = name === "sort" ? "worst" : "";
    const known = value !== null && (!control.options || [...control.options].some(option => option.value === value));
    control.value = known ? value : usual;
  }
  sortRows();
  filterRows();
  const at = parameters.get("at"), day = dates.indexOf(parameters.get("day"));
  const i = at === null ? -1 : jobs.findIndex(job => job.h + "/" + job.j === at);
  if (i >= 0 && day >= 0 && stripOf(i)) {
    choose(i, day, true);
    strips[i].scrollIntoView({block: "center"});
  } else close();
}

function changed() { filterRows(); write(); }
controls.q.addEventListener("input", changed);
controls.job.addEventListener("change", changed);
controls.show.addEventListener("change", changed);
controls.sort.addEventListener("change", () => { sortRows(); changed(); });
for (const button of document.querySelectorAll("button[data-sort]"))
  button.addEventListener("click", () => { controls.sort.value = button.dataset.sort; sortRows(); changed(); });
$("clear").addEventListener("click", () => {
  for (const [name, control] of Object.entries(controls)) control.value = name === "sort" ? "worst" : "";
  sortRows();
  close();
  changed();
});
window.addEventListener("hashchange", read);
if ($("more")) $("more").addEventListener("click", event => {
  for (const body of document.querySelectorAll("tbody.more")) body.hidden = false;
  event.target.parentNode.remove();
});
for (const body of document.querySelectorAll("tbody.more")) body.hidden = true;

// -- a day --

const stripOf = i => i === undefined ? null : strips[i].querySelector(".strip");
const cursor = element("span");
cursor.id = "cursor";

function tabbable(i) {
  for (const strip of document.querySelectorAll('.strip[tabindex="0"]')) strip.tabIndex = -1;
  if (stripOf(i)) stripOf(i).tabIndex = 0;
}

const told = (i, day) => dates[day] + ": " + counted(days(i)[day]);

function choose(i, day, open) {
  chosen = {i, day, open};
  const strip = stripOf(i), width = strip.getBoundingClientRect().width / dates.length;
  strip.append(cursor);
  cursor.style.left = day * width - 1 + "px";
  cursor.style.width = width + "px";
  tabbable(i);
  strip.setAttribute("aria-valuenow", day);
  strip.setAttribute("aria-valuetext", told(i, day));
  if (open) detail(i, day);
  write();
}

function close() {
  $("detail").hidden = true;
  if (chosen) chosen.open = false;
  write();
}

function detail(i, day) {
  const job = jobs[i], letters = days(i)[day], panel = $("detail");
  const button = element("button", "", "Close (Esc)");
  button.type = "button";
  button.addEventListener("click", () => { close(); stripOf(i).focus(); });
  const title = element("h2", "", job.h + ", " + job.j + ": " + dates[day] + (job.z ? " (" + job.z + ")" : ""));
  const [logs, stored] = sums(i).map(list => list[day] || 0);
  const bytes = size(logs) + " of logs in " + size(stored) + ", ratio " + ratio(logs, stored) + ".";
  const facts = counted(letters) + ". " + (stored ? bytes : "No archive.");
  panel.replaceChildren(button, title, element("p", "facts", facts));
  if (letters.length) {
    const list = element("ol", "hours");
    [...letters].forEach((letter, hour) => {
      const state = byLetter.get(letter);
      const item = element("li", state ? state.css : "n");
      const name = job.u === "hour" ? String(hour).padStart(2, "0") : job.u;
      const words = state ? state.words + ": " + state.meaning : "no such hour, or it has not begun";
      item.title = (job.u === "hour" ? name + ":00: " : "") + words;
      item.setAttribute("aria-label", item.title);
      item.append(element("span", "", name), element("span", "", state ? state.letter : " "));
      list.append(item);
    });
    const seen = [...new Set(letters)].map(letter => byLetter.get(letter)).filter(Boolean).sort((a, b) => a.rank - b.rank);
    panel.append(list, element("p", "", seen.map(state => state.letter + " " + state.words + ": " + state.meaning).join(". ") + "."));
  }
  panel.append(element("p", "", "State of the job: " + job.x));
  panel.hidden = false;
}

function dayAt(strip, event) {
  const box = strip.getBoundingClientRect();
  return Math.max(0, Math.min(dates.length - 1, Math.floor((event.clientX - box.left) / box.width * dates.length)));
}

const stripAt = event => {
  const strip = event.target.closest && event.target.closest("#strips .strip");
  return strip ? [strip, +strip.closest("tr").dataset.i] : [null, -1];
};
$("strips").addEventListener("click", event => {
  const [strip, i] = stripAt(event);
  if (!strip) return;
  choose(i, dayAt(strip, event), true);
  strip.focus({preventScroll: true});
});
$("strips").addEventListener("mousemove", event => {
  const [strip, i] = stripAt(event), tip = $("tip");
  tip.hidden = !strip;
  if (!strip) return;
  tip.textContent = jobs[i].h + ", " + jobs[i].j + ", " + told(i, dayAt(strip, event));
  tip.style.left = Math.min(event.clientX + 12, window.innerWidth - 400) + "px";
  tip.style.top = event.clientY + 16 + "px";
});
$("strips").addEventListener("mouseleave", () => { $("tip").hidden = true; });
$("strips").addEventListener("focusin", event => {
  const [strip, i] = stripAt(event);
  if (strip && !(chosen && chosen.i === i)) choose(i, chosen ? chosen.day : dates.length - 1, false);
});
$("strips").addEventListener("keydown", event => {
  const [strip, i] = stripAt(event);
  if (!strip || event.ctrlKey || event.altKey || event.metaKey) return;
  const shown = visible.filter(each => stripOf(each)), place = shown.indexOf(i);
  const day = chosen && chosen.i === i ? chosen.day : dates.length - 1, open = !!(chosen && chosen.open);
  const to = {ArrowLeft: day - 1, ArrowRight: day + 1, Home: 0, End: dates.length - 1, PageUp: day - 7, PageDown: day + 7}[event.key];
  if (to !== undefined) choose(i, Math.max(0, Math.min(dates.length - 1, to)), open);
  else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
    const next = shown[place + (event.key === "ArrowUp" ? -1 : 1)];
    if (next !== undefined) { choose(next, day, open); stripOf(next).focus(); }
  } else if (event.key === "Enter" || event.key === " ") choose(i, day, true);
  else return;
  event.preventDefault();
});
document.addEventListener("keydown", event => {
  $("tip").hidden = true;
  if (event.key === "Escape" && !$("detail").hidden) close();
  else if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) {
    event.preventDefault();
    controls.q.focus();
  }
});
strips.forEach((row, i) => {
  const strip = stripOf(i);
  if (!strip || !dates.length) return;
  strip.setAttribute("role", "slider");
  strip.setAttribute("aria-label", jobs[i].h + ", " + jobs[i].j + ": coverage by day");
  strip.setAttribute("aria-valuemin", 0);
  strip.setAttribute("aria-valuemax", dates.length - 1);
  strip.setAttribute("aria-valuenow", dates.length - 1);
  strip.setAttribute("aria-valuetext", told(i, dates.length - 1));
  strip.tabIndex = -1;
});

// -- charts --

const SVG = "http://www.w3.org/2000/svg";
const svg = (tag, attributes, text) => {
  const made = document.createElementNS(SVG, tag);
  for (const name in attributes) made.setAttribute(name, attributes[name]);
  if (text !== undefined) made.textContent = text;
  return made;
};

function chart(where, lines, shown, label) {
  const width = 640, height = 150, left = 62, bottom = 18, top = 8, room = height - bottom - top;
  const most = Math.max(1e-9, ...lines.flatMap(([css, values]) => values.filter(Number.isFinite)));
  const picture = svg("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label + "; the largest is " + shown(most)});
  for (let tick = 0; tick <= 3; tick++) {
    const y = top + room - room * tick / 3;
    picture.append(svg("line", {class: "axis", x1: left, x2: width, y1: y, y2: y}));
    picture.append(svg("text", {x: left - 5, y: y + 4, "text-anchor": "end"}, shown(most * tick / 3)));
  }
  const x = day => left + (dates.length > 1 ? day / (dates.length - 1) : 0.5) * (width - left - 6);
  for (const [css, values] of lines) {
    let path = "", pen = false;
    values.forEach((value, day) => {
      if (!Number.isFinite(value)) { pen = false; return; }
      path += `${pen ? "L" : "M"}${x(day).toFixed(1)} ${(top + room - room * value / most).toFixed(1)}`;
      if (!pen && !Number.isFinite(values[day + 1])) path += "h.1";
      pen = true;
    });
    picture.append(svg("path", {class: css, d: path}));
  }
  const every = Math.ceil(dates.length / 6) || 1;
  for (let day = 0; day < dates.length; day += every) picture.append(svg("text", {x: x(day), y: height - 4}, dates[day].slice(5)));
  $(where).replaceChildren(picture);
}

function totals() {
  const logs = dates.map(() => 0), stored = dates.map(() => 0);
  for (const i of visible) {
    const [some, less] = sums(i);
    for (let day = 0; day < some.length; day++) { logs[day] += some[day]; stored[day] += less[day]; }
  }
  return [logs, stored];
}

function drawTrends() {
  $("trends").hidden = !dates.length;
  if (!dates.length) return;
  const [logs, stored] = totals();
  chart("bytes", [["in", logs], ["out", stored]], size, "Bytes of logs and of archives by day");
  const ratios = logs.map((value, day) => stored[day] ? value / stored[day] : NaN);
  chart("ratio", [["ratio", ratios]], value => value.toFixed(1), "Compression ratio by day");
  $("figures").replaceChildren(...dates.map((day, index) => {
    const row = element("tr");
    row.append(element("th", "", day), element("td", "number", size(logs[index])), element("td", "number", size(stored[index])),
      element("td", "number", ratio(logs[index], stored[index])));
    row.cells[1].dataset.value = logs[index];
    row.cells[2].dataset.value = stored[index];
    return row;
  }).reverse());
}

read();
const wide = document.querySelector("#coverage .table");
wide.scrollLeft = wide.scrollWidth;
document.documentElement.dataset.ready = "yes";
})();
"""
