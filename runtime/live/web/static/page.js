"use strict";

const element = (id) => document.getElementById(id);
const CHART_S = 60;

let stream = ""; // the one that is shown; empty where there is one and it has no name
let screen = null;
let isSilent = false;
let ages = [];

const MEANING = {
  starting: "Getting ready; nothing is marked yet.",
  live: "The picture is live, and marks come in time.",
  degraded: "The picture is live; marks may be missing or late.",
  "pass-through": "The picture is live; NOTHING IS MARKED.",
  silent: "NO PICTURE comes.",
  stopped: "The stream has ended.",
  unreachable: "This page has no connection; trying again.",
};

function showStream(name) {
  screen?.close();
  stream = name;
  ages = [];
  for (const id of ["sightings", "changes"]) {
    element(id).replaceChildren(document.createElement("li"));
    element(id).firstChild.textContent = "none yet";
  }
  for (const link of document.querySelectorAll("a[data-path]")) {
    link.href = link.dataset.path + queryOf(name) + (link.dataset.more ? `${name ? "&" : "?"}${link.dataset.more}` : "");
  }
  screen = new Screen({ picture: element("picture"), lost: element("lost"), late: element("late") }, name, {
    status: showStatus,
    state: showState,
    watched(silent) { isSilent = silent; showMeaning(); },
  });
  fetch(`/api/passport${queryOf(name)}`).then((answer) => answer.json()).then((passport) => {
    element("passport").textContent = JSON.stringify(passport, null, 2);
  }).catch(() => { /* the state says that there is no connection */ });
  showEvents();
}

function showState(state, reason) {
  const badge = element("state");
  if (badge.textContent !== state) {
    badge.textContent = state;
    badge.className = `state ${state}`;
    document.title = `${[stream, state].filter(Boolean).join(": ")} – edgeseg`;
    document.body.classList.toggle("gone", state === "unreachable");
  }
  element("reason").textContent = reason;
  showMeaning();
}

function showMeaning() {
  const state = element("state").textContent;
  const text = MEANING[isSilent && !["stopped", "unreachable"].includes(state) ? "silent" : state] ?? "";
  if (element("meaning").textContent !== text) element("meaning").textContent = text; // it is read aloud
}

const milliseconds = (value) => (value === null || value === undefined ? "–" : `${value.toFixed(0)} ms`);
const spread = (values) => `${milliseconds(values.p50)} / ${milliseconds(values.p99)}`;

function showStatus(now) {
  ages.push({ at: performance.now(), picture: now.picture_age_ms.p50, mask: now.mask_age_ms.p50 });
  while (ages.length && ages[0].at < performance.now() - CHART_S * 1000) ages.shift();
  element("picture-age").textContent = spread(now.picture_age_ms);
  element("mask-age").textContent = spread(now.mask_age_ms);
  for (const button of element("overlay").children) {
    button.setAttribute("aria-pressed", String(button.dataset.mode === now.overlay));
  }
  showFigures(now);
  showRollOut(now.roll_out);
  drawChart();
}

function showFigures(now) {
  const rows = [
    ["Picture", `${now.width} × ${now.height}`],
    ["Frames a second", now.fps === null ? "–" : now.fps.toFixed(1)],
    ["Frames shown", now.frames],
    ["Frames segmented", now.inferences],
    ["Passed over by the engine", now.drops],
    ["Shown late", now.deadline_misses],
    ["Never shown", now.skipped],
    ["Without tissue", now.gated],
    ["Lost by the engine", now.lost],
    ["Engine restarts", now.restarts],
    ["Inference", spread(now.infer_ms)],
    ["Drawing", spread(now.compose_ms)],
    ["Way to this page, at most", milliseconds(screen.wayMs)],
    ["Engine", `${now.backend} ${now.precision}`],
  ];
  fillRows("figures", [...rows, ...sinkRows(now)]);
}

function sinkRows(now) {
  const rows = [];
  for (const sink of now.sinks) {
    if (sink.written === undefined) continue;
    const trouble = [sink.dropped && `${sink.dropped} dropped`, sink.state !== "ok" && sink.state];
    rows.push([`To ${sink.name.replace(/ \/\S*\//, " ")}`, // without folders: a phone is narrow
      [sink.written, ...trouble.filter(Boolean)].join(", ")]);
  }
  return rows;
}

function fillRows(id, rows) {
  const list = element(id);
  rows.forEach(([name, value], index) => {
    let term = list.children[2 * index];
    if (!term) {
      term = list.appendChild(document.createElement("dt"));
      list.appendChild(document.createElement("dd"));
    }
    term.textContent = name;
    list.children[2 * index + 1].textContent = value;
  });
  while (list.children.length > 2 * rows.length) list.lastChild.remove();
}

function drawChart() {
  const chart = element("chart");
  const context = chart.getContext("2d");
  const { width, height } = chart;
  const left = 70, bottom = 26;
  const values = ages.flatMap((age) => [age.picture ?? 0, age.mask ?? 0]);
  const top = Math.max(50, ...values) * 1.1;
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  context.clearRect(0, 0, width, height);
  context.font = "20px system-ui, sans-serif";
  context.fillStyle = colour("--quiet");
  context.strokeStyle = colour("--line");
  context.lineWidth = 1;
  for (const part of [0, 0.5, 1]) {
    const y = (height - bottom) * (1 - part) + 12 * part;
    context.beginPath();
    context.moveTo(left, y);
    context.lineTo(width, y);
    context.stroke();
    context.fillText(`${(top * part).toFixed(0)} ms`, 0, y + 6);
  }
  context.fillText(`${CHART_S} s ago`, left, height - 3);
  context.fillText("now", width - 44, height - 3);
  line(context, (age) => age.picture, colour("--blue"));
  line(context, (age) => age.mask, colour("--orange"));

  function line(pen, value, tint) {
    pen.strokeStyle = tint;
    pen.lineWidth = 3;
    pen.beginPath();
    let open = false;
    for (const age of ages) {
      const here = value(age);
      if (here === null || here === undefined) { open = false; continue; }
      const x = width - (width - left) * (performance.now() - age.at) / (CHART_S * 1000);
      const y = (height - bottom) - (height - bottom - 12) * here / top;
      if (open) pen.lineTo(x, y); else pen.moveTo(x, y);
      open = true;
    }
    pen.stroke();
  }
}

async function setOverlay(mode) {
  try {
    await fetch(`/api/overlay${queryOf(stream)}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ mode }),
    });
  } catch { /* the state says that there is no connection, and the button stays as it was */ }
}

async function showEvents() {
  if (screen === null) return;
  const asked = stream;
  try {
    const { events } = await (await fetch(`/api/events${queryOf(stream)}`)).json();
    if (stream !== asked) return;
    const isChange = (event) => ["state", "drift", "roll-out"].includes(event.event);
    fill("sightings", events.filter((event) => !isChange(event)), describeSighting);
    fill("changes", events.filter(isChange), describeChange);
  } catch { /* the state says that there is no connection */ }
}

function describeSighting(event) {
  if (event.event === "appeared") return `${event.structure} in view (no. ${event.lesion})`;
  const most = `at most ${(100 * event.largest_area_fraction).toFixed(1)} % of the picture`;
  const numbers = [event.lesion, ...event.joined].join(", ");
  return `${event.structure} gone after ${event.duration_s.toFixed(1)} s, ${most} (no. ${numbers})`;
}

function describeChange(event) {
  if (event.event === "drift") return event.text;
  if (event.event === "roll-out") return `${event.change}, ${event.engine} is shown: ${event.reason}`;
  return event.reason ? `${event.state}: ${event.reason}` : event.state;
}

function fill(id, events, describe) {
  if (!events.length) return;
  element(id).replaceChildren(...events.slice(-50).reverse().map((event) => {
    const item = document.createElement("li");
    const time = item.appendChild(document.createElement("time"));
    time.dateTime = event.until ?? event.time;
    time.textContent = new Date(time.dateTime).toLocaleTimeString([], { hour12: false });
    item.append(describe(event));
    item.className = event.event;
    return item;
  }));
}

// A phone's browser may have no full screen.
function showFull() {
  element("frame").requestFullscreen?.().catch(() => {});
}

// Several streams: all of them, or the one that the address names after #.
async function start() {
  let streams = [{ name: "" }];
  try {
    ({ streams } = await (await fetch("/api/streams")).json());
  } catch { /* the state says that there is no connection */ }
  const names = streams.map((each) => each.name);
  if (names.length < 2) {
    showStream(names[0]);
    return;
  }
  const overview = new Overview(element("overview"), names, (name) => { location.hash = encodeURIComponent(name); });
  const choices = [["", "All"], ...names.map((name) => [name, name])];
  element("streams").replaceChildren(...choices.map(([name, text]) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.addEventListener("click", () => { location.hash = encodeURIComponent(name); });
    return button;
  }));
  element("streams").hidden = false;
  const choose = () => {
    const asked = decodeURIComponent(location.hash.slice(1));
    const chosen = names.includes(asked) ? asked : null;
    choices.forEach(([name], index) => {
      element("streams").children[index].setAttribute("aria-pressed", String(name === (chosen ?? "")));
    });
    element("one").hidden = chosen === null;
    element("said").hidden = element("reason").hidden = chosen === null;
    if (chosen === null) {
      screen?.close();
      screen = null;
      document.title = "edgeseg live";
      overview.open();
    } else {
      overview.close();
      showStream(chosen);
    }
  };
  window.addEventListener("hashchange", choose);
  choose();
}

element("overlay").addEventListener("click", (event) => {
  if (event.target.dataset.mode) setOverlay(event.target.dataset.mode);
});
element("full").hidden = !document.fullscreenEnabled;
element("full").addEventListener("click", showFull);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || element("one").hidden) return;
  const mode = { 1: "contour", 2: "fill", 3: "heat", 4: "off" }[event.key];
  if (mode) setOverlay(mode);
  if (event.key === "s") element("snapshot").click();
  if (event.key === "f") showFull();
});

start();
setInterval(showEvents, 2000);
