"""A trace as a picture: one page for a browser, with all that it needs in it.

A row for each connection and each of its streams. Pale bars wait, full ones receive;
ticks are frames, tall ones received, short ones sent; the line in a row is what flow
control leaves to the sender, so that a stall is a line on the ground; what went wrong
is red. The page asks nobody for anything, and its policy (CSP) forbids it to.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Sequence
from datetime import datetime

from .exchanges import Exchange, exchanges
from .record import Record

#: Fields of one frame that are shown when a mouse is over it.
MAX_FIELDS = 40
#: Characters of a field that are.
MAX_VALUE = 200


def page(records: Sequence[Record], started: datetime) -> Iterator[str]:
    """Yield the text of the page."""
    data = {
        "steps": [_step(record) for record in records if not record.direction],
        "rows": [_row(exchange) for exchange in exchanges(records)],
        "frames": [_frame(record) for record in records if record.direction],
    }
    # So that nothing in it can end the element that it stands in.
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    title = html.escape(f"hyper, {started:%Y-%m-%d %H:%M:%S} UTC")
    yield _PAGE.replace("@TITLE@", title).replace("@DATA@", text)


def _step(record: Record) -> list[object]:
    said = ", ".join(f"{name} {value}" for name, value in record.detail.items())
    return [record.connection, record.time, record.kind, said, int(record.is_error)]


def _row(exchange: Exchange) -> dict[str, object]:
    return {
        "c": exchange.connection,
        "s": exchange.stream_id,
        "label": f"{exchange.method} {exchange.path}",
        "status": exchange.status,
        "start": exchange.start,
        "first": exchange.first,
        "end": exchange.end,
        "size": exchange.received,
        "error": exchange.error,
    }


def _frame(record: Record) -> list[object]:
    said = [f"{name} {value}" for name, value in record.detail.items()]
    if record.flags:
        said.insert(0, " ".join(record.flags))
    said += [
        f"{one.name}: {one.value[:MAX_VALUE]}" for one in record.fields[:MAX_FIELDS]
    ]
    windows = record.windows
    return [
        record.connection,
        record.stream_id,
        record.time,
        record.direction,
        record.kind,
        record.length,
        "\n".join(said),
        int(record.is_error),
        None
        if windows is None
        else [
            windows.stream,
            windows.stream_size,
            windows.connection,
            windows.connection_size,
        ],
    ]


_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'">
<title>@TITLE@</title>
<style>
html { overflow-y: scroll }
body { margin: 0; font: 13px/1.4 system-ui, sans-serif; color: #222; background: #fff }
header { position: sticky; top: 0; background: #fff; padding: 6px 10px; z-index: 1;
  border-bottom: 1px solid #ccc; display: flex; gap: 14px; align-items: baseline }
header b { font-size: 15px }
header input { font: inherit; width: 14em }
header i { display: inline-block; width: 12px; height: 10px; margin-right: 4px }
#about { color: #666; flex: 1; text-align: right }
svg { display: block; cursor: crosshair; user-select: none }
text { font: 12px system-ui, sans-serif; fill: #222 }
text.error { fill: #c00 }
text.ruler { fill: #888; font-size: 11px }
.grid { stroke: #eee }
.row:nth-child(even) .ground { fill: #fafafa }
.ground { fill: #fff }
.row:hover .ground { fill: #eef4ff }
.wait { fill: #cfe0f5 }
.receive { fill: #7fb0e8 }
.dns { fill: #b7a7dd } .tcp { fill: #e8b77f } .proxy { fill: #d0c070 }
.tls { fill: #8ccf9d }
.failed { fill: #f2b8b8 }
.recv { stroke: #1c4f8a } .send { stroke: #2f8f4e }
.bad { stroke: #d00; stroke-width: 2 }
.window { fill: none; stroke: #b000b0; opacity: .55 }
.upload { stroke: #c60 }
#tip { position: fixed; display: none; background: #222; color: #fff; padding: 6px 9px;
  border-radius: 4px; white-space: pre-wrap; max-width: 560px; pointer-events: none;
  font: 12px/1.35 ui-monospace, monospace; z-index: 2; overflow-wrap: anywhere }
</style>
<header><b>@TITLE@</b>
<span><i style="background:#cfe0f5"></i>waiting</span>
<span><i style="background:#7fb0e8"></i>receiving</span>
<span><i style="background:#b000b0"></i>window</span>
<span><i style="background:#d00"></i>error</span>
<input id="filter" placeholder="filter, such as /path or 404" aria-label="filter">
<span id="about"></span></header>
<div id="chart"></div><div id="tip" role="tooltip"></div>
<script type="application/json" id="data">@DATA@</script>
<script>
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const chart = document.getElementById("chart"), tip = document.getElementById("tip");
const LEFT = 330, ROW = 24, TOP = 22, RIGHT = 20;
const key = (c, s) => c + "." + s;

// One row for each connection, and below it one for each of its streams.
const rows = [], byKey = new Map();
const add = (row) => { rows.push(row); byKey.set(key(row.c, row.s), row); return row; };
for (const [c, time, kind, said] of data.steps) {
  if (kind === "start") {
    add({c, s: 0, label: said.replace("origin ", ""), steps: [], frames: [],
         start: time, end: time, connection: true});
    for (const row of data.rows) if (row.c === c && row.s) add({...row, frames: []});
  }
}
for (const [c, time, kind, said, bad] of data.steps) {
  const row = byKey.get(key(c, 0));
  if (!row) continue;
  row.end = Math.max(row.end, time);
  row.steps.push({time, kind, said, bad});
}
for (const [c, s, time, dir, kind, length, said, bad, windows] of data.frames) {
  const frame = {s, time, dir, kind, length, said, bad, windows};
  const row = byKey.get(key(c, s)), own = byKey.get(key(c, 0));
  if (row) row.frames.push(frame);
  if (own) {
    own.end = Math.max(own.end, time);
    if (s && windows) own.frames.push({...frame, only: "window"});
  }
}
const last = Math.max(0.001, ...rows.map((row) => row.end));
let from = 0, to = last * 1.02;

const ms = (time) => (time * 1000).toFixed(time < 0.1 ? 2 : 1) + " ms";
const bytes = (n) => n < 1000 ? n + " B" : n < 1e6 ? (n / 1e3).toFixed(1) + " KB"
  : (n / 1e6).toFixed(1) + " MB";
function make(name, attributes, parent, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [k, v] of Object.entries(attributes)) node.setAttribute(k, v);
  if (text !== undefined) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}
let width = 0, shown = [];
const x = (time) => LEFT + (time - from) / (to - from) * (width - LEFT - RIGHT);
const timeAt = (px) => from + (px - LEFT) / (width - LEFT - RIGHT) * (to - from);
const clip = (px) => Math.min(Math.max(px, LEFT), width - RIGHT);

function bar(group, kind, start, end, y) {
  const a = clip(x(start)), b = clip(x(end));
  if (x(end) < LEFT || x(start) > width - RIGHT) return;
  make("rect", {class: kind, x: a, y: y + 5, width: Math.max(1, b - a), height: 14},
       group);
}
function line(group, points, size, kind, y) {
  if (!points.length || !size) return;
  let path = "", before = null;
  for (const [time, left] of points) {
    const px = clip(x(time)), py = y + 21 - 18 * Math.max(0, left) / size;
    if (before !== null && Math.round(px) === Math.round(before)) {
      before = px;
      path += "V" + py.toFixed(1);
      continue;
    }
    path += path ? "H" + px.toFixed(1) + "V" + py.toFixed(1)
      : "M" + px.toFixed(1) + " " + py.toFixed(1);
    before = px;
  }
  make("path", {class: "window " + kind, d: path}, group);
}
// The windows of one side: DATA of this direction, and the credit for it.
function points(row, dir) {
  const found = [];
  let size = 0;
  for (const frame of row.frames) {
    const w = frame.windows;
    if (!w || (frame.dir === dir) !== (frame.kind === "DATA")) continue;
    const [left, whole] = row.connection ? [w[2], w[3]] : [w[0], w[1]];
    if (left === null) continue;
    found.push([frame.time, left]);
    size = Math.max(size, whole);
  }
  return [found, size];
}
function drawRow(svg, row, y) {
  const group = make("g", {class: "row", "data-row": key(row.c, row.s)}, svg);
  make("rect", {class: "ground", x: 0, y, width, height: ROW}, group);
  const bad = row.error || row.status >= 400;
  const name = row.connection ? row.label : row.s + "  " + (row.status || "\\u2013") +
    "  " + row.label;
  make("text", {class: bad ? "error" : "", x: row.connection ? 8 : 22, y: y + 16,
    "font-weight": row.connection ? "bold" : "normal"}, group,
    name.length > 46 ? name.slice(0, 45) + "\\u2026" : name);
  if (row.connection) {
    let before = row.start;
    for (const step of row.steps) {
      if (["dns", "tcp", "proxy", "tls"].includes(step.kind)) {
        bar(group, step.kind, before, step.time, y);
      }
      if (step.bad) bar(group, "failed", before, step.time, y);
      before = step.time;
    }
  } else {
    const first = row.first === null ? row.end : row.first;
    bar(group, row.error ? "failed" : "wait", row.start, first, y);
    bar(group, row.error ? "failed" : "receive", first, row.end, y);
  }
  const taken = new Set();
  for (const frame of row.frames) {
    const px = x(frame.time);
    if (frame.only || px < LEFT || px > width - RIGHT) continue;
    const kind = frame.bad ? "bad" : frame.dir;
    const place = kind + Math.round(px);
    if (taken.has(place)) continue;  // Another tick is there already.
    taken.add(place);
    const top = frame.dir === "recv" ? y + 3 : y + 12;
    make("line", {class: kind, x1: px, x2: px, y1: top, y2: y + 21}, group);
  }
  line(group, ...points(row, "recv"), "", y);
  line(group, ...points(row, "send"), "upload", y);
}
function draw() {
  width = Math.max(700, document.documentElement.clientWidth);
  const wanted = document.getElementById("filter").value.toLowerCase();
  shown = rows.filter((row) => row.connection || !wanted ||
    (row.s + " " + row.status + " " + row.label).toLowerCase().includes(wanted));
  const svg = make("svg", {width, height: TOP + shown.length * ROW + 8});
  shown.forEach((row, i) => drawRow(svg, row, TOP + i * ROW));
  const raw = (to - from) / 8, unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((n) => n * unit).find((n) => n >= raw);
  for (let t = Math.ceil(from / step) * step; t <= to; t += step) {
    const px = x(t);
    make("line", {class: "grid", x1: px, x2: px, y1: TOP, y2: TOP + shown.length * ROW},
         svg);
    make("text", {class: "ruler", x: px + 3, y: 14}, svg, ms(t));
  }
  chart.replaceChildren(svg);
  const streams = shown.filter((row) => !row.connection).length;
  document.getElementById("about").textContent = streams + " streams, " +
    ms(from) + " to " + ms(to) + ". Wheel zooms, dragging moves, double click resets.";
}
function describe(row, time, reach) {
  let best = null;
  for (const frame of row.frames) {
    const far = Math.abs(frame.time - time);
    if (far <= reach && (!best || far < Math.abs(best.time - time))) best = frame;
  }
  if (best) {
    let said = ms(best.time) + "  " + best.dir + " " + best.kind + "  stream " +
      best.s + ", " + best.length + " B";
    if (best.windows) {
      const [left, , whole] = best.windows;
      said += "\\nleft on the connection " + whole;
      if (left !== null) said += ", on the stream " + left;
    }
    return said + (best.said ? "\\n" + best.said : "");
  }
  if (row.connection) {
    return row.label + row.steps.map((s) => "\\n" + ms(s.time) + "  " + s.kind + " " +
      s.said).join("");
  }
  const first = row.first === null ? "never" : ms(row.first);
  return "stream " + row.s + ": " + row.label + "\\nstatus " + row.status + ", " +
    bytes(row.size) + "\\nbegan " + ms(row.start) + ", first byte " + first +
    ", ended " + ms(row.end) + (row.error ? "\\n" + row.error : "");
}
function over(event) {
  const box = chart.getBoundingClientRect();
  const row = shown[Math.floor((event.clientY - box.top - TOP) / ROW)];
  if (!row || event.clientY < box.top + TOP) { tip.style.display = "none"; return; }
  const time = timeAt(event.clientX - box.left);
  const reach = 4 * (to - from) / (width - LEFT - RIGHT);
  tip.textContent = describe(row, time, reach);
  tip.style.display = "block";
  const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
  const below = event.clientY + 16 + tip.offsetHeight < innerHeight;
  tip.style.left = Math.max(4, left) + "px";
  const top = below ? event.clientY + 16 : event.clientY - tip.offsetHeight - 8;
  tip.style.top = top + "px";
}
let held = null;
chart.addEventListener("mousemove", (event) => {
  if (held !== null && event.buttons) {
    const moved = timeAt(held) - timeAt(event.clientX);
    from += moved; to += moved; held = event.clientX;
    draw();
  }
  over(event);
});
chart.addEventListener("mouseleave", () => { tip.style.display = "none"; });
chart.addEventListener("mousedown", (event) => { held = event.clientX; });
addEventListener("mouseup", () => { held = null; });
chart.addEventListener("wheel", (event) => {
  event.preventDefault();
  const box = chart.getBoundingClientRect();
  const middle = timeAt(Math.max(LEFT, event.clientX - box.left));
  const factor = event.deltaY < 0 ? 0.7 : 1 / 0.7;
  from = Math.max(0, middle - (middle - from) * factor);
  to = Math.min(last * 1.02, Math.max(from + 1e-5, middle + (to - middle) * factor));
  draw();
}, {passive: false});
chart.addEventListener("dblclick", () => { from = 0; to = last * 1.02; draw(); });
document.getElementById("filter").addEventListener("input", draw);
addEventListener("resize", draw);
draw();
</script>
</html>
"""
