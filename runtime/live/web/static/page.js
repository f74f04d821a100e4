"use strict";

const element = (id) => document.getElementById(id);
const picture = element("picture");
const drawing = picture.getContext("2d", { alpha: false });
const LOST_MS = 1000;
const LATE_MS = 500;
const LATE_STAYS_MS = 2000;
const CHART_S = 60;
const HEADER_BYTES = 16;

let shownMs = null; // when the drawn picture was shown, but for its way to here
let drawnMs = null; // when "drawn" was last said on this connection
let wayMs = null; // the most that the drawn picture took from being shown to here
let lastLateMs = -Infinity;
let retryMs = 500;
const ages = [];

const MEANING = {
  starting: "Getting ready; nothing is marked yet.",
  live: "The picture is live, and marks come in time.",
  degraded: "The picture is live; marks may be missing or late.",
  "pass-through": "The picture is live; NOTHING IS MARKED.",
  silent: "NO PICTURE comes.",
  stopped: "The stream has ended.",
  unreachable: "This page has no connection; trying again.",
};

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/api/live`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => { retryMs = 500; drawnMs = null; };
  socket.onmessage = async (event) => {
    if (typeof event.data === "string") { showStatus(JSON.parse(event.data)); return; }
    try {
      await showPicture(event.data);
    } finally { // a picture that cannot be drawn is followed by the next one, too
      drawnMs = performance.now();
      if (socket.readyState === WebSocket.OPEN) socket.send("drawn");
    }
  };
  socket.onclose = (event) => {
    showState("unreachable", event.reason);
    setTimeout(connect, retryMs);
    retryMs = Math.min(2 * retryMs, 8000);
  };
}

// Before the JPEG: frame index, frame width, how long ago it was shown and this page heard (see pictures.py).
async function showPicture(data) {
  const header = new DataView(data);
  const bitmap = await createImageBitmap(new Blob([new Uint8Array(data, HEADER_BYTES)], { type: "image/jpeg" }));
  noteTimes(header.getFloat32(8), header.getFloat32(12));
  if (picture.width !== bitmap.width || picture.height !== bitmap.height) {
    picture.width = bitmap.width;
    picture.height = bitmap.height;
  }
  drawing.drawImage(bitmap, 0, 0);
  bitmap.close();
  picture.dataset.frame = header.getUint32(0);
}

// The two clocks are never compared: there and back, less what the server waited, is more than the way here.
function noteTimes(heldMs, quietMs) {
  const nowMs = performance.now();
  shownMs = nowMs - heldMs;
  wayMs = drawnMs === null ? null : heldMs + Math.max(0, nowMs - drawnMs - quietMs);
  if (wayMs > LATE_MS) lastLateMs = nowMs;
  watch(); // before it is drawn: one that was shown long ago is covered from the beginning
}

function showState(state, reason) {
  const badge = element("state");
  if (badge.textContent !== state) {
    badge.textContent = state;
    badge.className = `state ${state}`;
    document.title = `${state} – edgeseg`;
    document.body.classList.toggle("gone", state === "unreachable");
  }
  element("reason").textContent = reason;
  showMeaning();
}

function showMeaning() {
  const state = element("state").textContent;
  const isSilent = shownMs !== null && !element("lost").hidden && !["stopped", "unreachable"].includes(state);
  const text = MEANING[isSilent ? "silent" : state] ?? "";
  if (element("meaning").textContent !== text) element("meaning").textContent = text; // it is read aloud
}

const milliseconds = (value) => (value === null || value === undefined ? "–" : `${value.toFixed(0)} ms`);
const spread = (values) => `${milliseconds(values.p50)} / ${milliseconds(values.p99)}`;

function showStatus(now) {
  showState(now.state, now.reason);
  ages.push({ at: performance.now(), picture: now.picture_age_ms.p50, mask: now.mask_age_ms.p50 });
  while (ages.length && ages[0].at < performance.now() - CHART_S * 1000) ages.shift();
  element("picture-age").textContent = spread(now.picture_age_ms);
  element("mask-age").textContent = spread(now.mask_age_ms);
  for (const button of element("overlay").children) {
    button.setAttribute("aria-pressed", String(button.dataset.mode === now.overlay));
  }
  showFigures(now);
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
    ["Way to this page, at most", milliseconds(wayMs)],
    ["Engine", `${now.backend} ${now.precision}`],
  ];
  for (const sink of now.sinks) {
    if (sink.written === undefined) continue;
    const trouble = [sink.dropped && `${sink.dropped} dropped`, sink.state !== "ok" && sink.state];
    rows.push([`To ${sink.name.replace(/ \/\S*\//, " ")}`, // without folders: a phone is narrow
      [sink.written, ...trouble.filter(Boolean)].join(", ")]);
  }
  const list = element("figures");
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
    await fetch("/api/overlay", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ mode }),
    });
  } catch { /* the state says that there is no connection, and the button stays as it was */ }
}

async function showEvents() {
  try {
    const { events } = await (await fetch("/api/events")).json();
    const isChange = (event) => event.event === "state" || event.event === "drift";
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

// A picture that does not come, or comes late, is never shown as if it were now.
function watch() {
  const nowMs = performance.now();
  const silentMs = nowMs - (shownMs ?? -Infinity);
  const lost = element("lost");
  lost.hidden = silentMs < LOST_MS;
  if (!lost.hidden) {
    lost.textContent = shownMs === null ? "waiting for a picture" : `NO PICTURE for ${(silentMs / 1000).toFixed(0)} s`;
  }
  const late = element("late");
  late.hidden = !lost.hidden || nowMs - lastLateMs > LATE_STAYS_MS;
  if (!late.hidden && wayMs > LATE_MS) late.textContent = `LATE: up to ${(wayMs / 1000).toFixed(1)} s behind`;
  showMeaning();
}

element("overlay").addEventListener("click", (event) => {
  if (event.target.dataset.mode) setOverlay(event.target.dataset.mode);
});
element("full").hidden = !document.fullscreenEnabled;
element("full").addEventListener("click", showFull);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const mode = { 1: "contour", 2: "fill", 3: "heat", 4: "off" }[event.key];
  if (mode) setOverlay(mode);
  if (event.key === "s") element("snapshot").click();
  if (event.key === "f") showFull();
});

fetch("/api/passport").then((answer) => answer.json()).then((passport) => {
  element("passport").textContent = JSON.stringify(passport, null, 2);
}).catch(() => { /* the state says that there is no connection */ });
connect();
setInterval(watch, 200);
setInterval(showEvents, 2000);
