// The timeline: who was called has a row, each call is a bar as long as its answer took.

const TIMELINE_HEAD = 34, NAMES = 210, BAR = 16, BAR_GAP = 3, TRACK_GAP = 12, BARS_DEEP_MAX = 8, LABEL_LEAST = 64;

const timeline = {
  // What is drawn: { lane, calls, depths, signals, top, height }.
  tracks: [],
  height: 0,
  // What was drawn last, for the pointer: [x, y, width, height, message].
  boxes: [],
  dragged: null,
};

// Where the answer is not known a call ends with what is known.
function callEnd(index) {
  return answerOf[index] >= 0 ? time[answerOf[index]] : isUnanswered[index] ? lastTime : time[index];
}

function layOutTimeline() {
  const tracks = new Map();
  const trackOf = (lane) => {
    if (!tracks.has(lane)) tracks.set(lane, { lane, calls: [], depths: [], ends: [], signals: [] });
    return tracks.get(lane);
  };
  for (const index of shown) {
    if (kinds[index] === CALL && to[index] >= 0) placeCall(trackOf(to[index]), index);
    else if (kinds[index] === SIGNAL) trackOf(from[index]).signals.push(index);
  }
  let top = 0;
  timeline.tracks = [...tracks.values()];
  for (const track of timeline.tracks) {
    track.top = top;
    track.height = Math.max(1, track.ends.length) * (BAR + BAR_GAP) + (track.signals.length > 0 ? 12 : 0) + TRACK_GAP;
    top += track.height;
  }
  timeline.height = top;
}

// A call stands below those that are open when it begins.
function placeCall(track, index) {
  let depth = track.ends.findIndex((end) => end <= time[index]);
  if (depth < 0) depth = Math.min(track.ends.length, BARS_DEEP_MAX - 1);
  // One without an answer stands in the way of nobody.
  track.ends[depth] = Math.max(track.ends[depth] ?? 0, isUnanswered[index] ? time[index] : callEnd(index));
  track.calls.push(index);
  track.depths.push(depth);
}

function timeX(micros, view) {
  return NAMES + ((micros - state.begin) / (state.end - state.begin)) * (view.width - NAMES - 16);
}

function drawTimeline(context, view) {
  timelineScroller.setSize(1, TIMELINE_HEAD + timeline.height + 16);
  timeline.boxes = [];
  const ticks = timeTicks(view);
  context.strokeStyle = colour.line;
  context.lineWidth = 1;
  context.beginPath();
  for (const tick of ticks.times) {
    const x = Math.round(timeX(tick, view)) + 0.5;
    context.moveTo(x, TIMELINE_HEAD);
    context.lineTo(x, view.height);
  }
  context.stroke();
  for (const track of timeline.tracks) {
    const y = TIMELINE_HEAD + 8 + track.top - view.top;
    if (y + track.height < TIMELINE_HEAD || y > view.height) continue;
    drawTrack(context, view, track, y);
  }
  drawTimeHead(context, view, ticks);
}

function drawTrack(context, view, track, y) {
  context.strokeStyle = colour.line;
  context.beginPath();
  context.moveTo(0, Math.round(y + track.height - TRACK_GAP / 2) + 0.5);
  context.lineTo(view.width, Math.round(y + track.height - TRACK_GAP / 2) + 0.5);
  context.stroke();
  drawTrackName(context, track, y);
  context.save();
  context.beginPath();
  context.rect(NAMES, TIMELINE_HEAD, view.width - NAMES, view.height);
  context.clip();
  // Where bars are thinner than a dot the first one of a dot stands for all.
  const filled = track.ends.map(() => -1);
  track.calls.forEach((index, place) => {
    const depth = track.depths[place];
    const x = timeX(time[index], view);
    const width = Math.max(1.5, timeX(callEnd(index), view) - x);
    if (x > view.width || (Math.floor(x + width) <= filled[depth] && !hasFailed(index))) return;
    filled[depth] = Math.floor(x + width);
    drawBar(context, index, x, y + depth * (BAR + BAR_GAP), width);
  });
  drawSignals(context, view, track, y);
  context.restore();
}

function drawTrackName(context, track, y) {
  const unique = laneUnique(track.lane);
  context.fillStyle = colour.text;
  context.font = font(12, 600);
  context.fillText(fitName(context, laneTitle(track.lane), NAMES - 26), 14, y + BAR / 2);
  if (!unique || track.height < 2 * BAR + TRACK_GAP) return;
  context.fillStyle = colour.muted;
  context.font = font(11);
  context.fillText(fit(context, unique, NAMES - 26), 14, y + BAR / 2 + 15);
}

function drawBar(context, index, x, y, width) {
  const isLost = isUnanswered[index];
  context.fillStyle = isLost ? colour.waiting : hasFailed(index) ? colour.error : colour.call;
  context.globalAlpha = index === state.chosen ? 1 : isLost ? 0.25 : 0.75;
  if (width < 4) context.fillRect(x, y, width, BAR);
  else {
    roundBox(context, x, y, width, BAR, 3);
    context.fill();
  }
  context.globalAlpha = 1;
  timeline.boxes.push([x, y, width, BAR, index]);
  if (index === state.chosen) {
    context.strokeStyle = colour.text;
    context.lineWidth = 1.5;
    context.strokeRect(x - 1, y - 1, width + 2, BAR + 2);
  }
  const from = Math.max(x, NAMES);
  if (x + width - from < LABEL_LEAST) return;
  context.fillStyle = isLost ? colour.text : colour.panel;
  context.font = font(11, 600);
  context.fillText(fit(context, memberOf(index), x + width - from - 12), from + 6, y + BAR / 2 + 0.5);
}

function drawSignals(context, view, track, y) {
  const base = y + Math.max(track.ends.length, track.calls.length > 0 ? 1 : 0) * (BAR + BAR_GAP) + 5;
  let filled = -1;
  context.fillStyle = colour.signal;
  for (const index of track.signals) {
    const x = timeX(time[index], view);
    if (Math.floor(x / 3) === filled || x < NAMES - 4 || x > view.width) continue;
    filled = Math.floor(x / 3);
    const size = index === state.chosen ? 6 : 4;
    context.beginPath();
    context.moveTo(x, base - size);
    context.lineTo(x + size, base);
    context.lineTo(x, base + size);
    context.lineTo(x - size, base);
    context.fill();
    timeline.boxes.push([x - 4, base - 5, 8, 10, index]);
  }
}

// Times to be marked, round ones, and how they are written.
function timeTicks(view) {
  const size = state.end - state.begin;
  const wanted = Math.max(2, (view.width - NAMES) / 110);
  const power = 10 ** Math.floor(Math.log10(size / wanted));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((step) => size / step <= wanted) ?? power * 10;
  const times = [];
  for (let tick = Math.ceil(state.begin / step) * step; tick <= state.end && times.length < 100; tick += step) times.push(tick);
  return { times, step };
}

function showTick(micros, step) {
  if (!hasTimes) return showTime(micros);
  const [unit, name] = step >= 1e6 ? [1e6, "s"] : step >= 1000 ? [1000, "ms"] : [1, "µs"];
  const decimals = Math.max(0, -Math.floor(Math.log10(step / unit)));
  return `${(micros / unit).toFixed(decimals > 3 ? 3 : decimals)} ${name}`;
}

function drawTimeHead(context, view, ticks) {
  context.fillStyle = colour.panel;
  context.fillRect(0, 0, view.width, TIMELINE_HEAD);
  context.fillStyle = colour.muted;
  context.font = font(11);
  context.textAlign = "center";
  for (const tick of ticks.times) {
    const x = timeX(tick, view);
    if (x > NAMES - 4 && x < view.width - 20) context.fillText(showTick(tick, ticks.step), x, TIMELINE_HEAD / 2);
  }
  context.textAlign = "left";
  context.strokeStyle = colour.line;
  context.beginPath();
  context.moveTo(0, TIMELINE_HEAD - 0.5);
  context.lineTo(view.width, TIMELINE_HEAD - 0.5);
  context.stroke();
}

const timelineScroller = new Scroller(document.getElementById("timeline"), "Timeline of calls; the tab Messages has the same as a table", drawTimeline);

function timelineHit(event) {
  const { x, y } = timelineScroller.point(event);
  if (y < TIMELINE_HEAD || x < NAMES) return -1;
  let best = -1, bestDistance = 5;
  for (const [left, top, width, height, index] of timeline.boxes) {
    if (y < top - 2 || y > top + height + 2) continue;
    const distance = x < left ? left - x : x > left + width ? x - left - width : 0;
    if (distance < bestDistance || (distance === 0 && bestDistance === 0)) [best, bestDistance] = [index, distance];
  }
  return best;
}

timelineScroller.box.addEventListener("click", (event) => {
  const index = timelineHit(event);
  if (index >= 0 && !timeline.dragged?.hasMoved) choose(index);
});
timelineScroller.box.addEventListener("pointerdown", (event) => {
  timeline.dragged = { x: event.clientX, begin: state.begin, end: state.end, hasMoved: false };
});
window.addEventListener("pointermove", (event) => {
  const drag = timeline.dragged;
  if (!drag || event.buttons !== 1) return;
  const moved = event.clientX - drag.x;
  if (!drag.hasMoved && Math.abs(moved) < 4) return;
  drag.hasMoved = true;
  const by = (moved / (timelineScroller.view.width - NAMES)) * (drag.end - drag.begin);
  setWindow(drag.begin - by, drag.end - by);
});
window.addEventListener("pointerup", () => setTimeout(() => { timeline.dragged = null; }));
timelineScroller.box.addEventListener("pointermove", (event) => {
  timelineScroller.box.classList.toggle("can-point", timelineHit(event) >= 0);
});
timelineScroller.box.addEventListener("wheel", (event) => {
  const { x, y } = timelineScroller.point(event);
  if (!event.ctrlKey && y > TIMELINE_HEAD) return;
  event.preventDefault();
  const part = Math.max(0, Math.min(1, (x - NAMES) / (timelineScroller.view.width - NAMES)));
  zoomWindow(event.deltaY > 0 ? 1.25 : 0.8, part);
}, { passive: false });

document.getElementById("timeline").append(element("div", { className: "tools" },
  element("button", { type: "button", className: "quiet", textContent: "−", title: "Show more time", onclick: () => zoomWindow(1.6, 0.5) }),
  element("button", { type: "button", className: "quiet", textContent: "+", title: "Show less time", onclick: () => zoomWindow(0.625, 0.5) }),
  element("button", { type: "button", className: "quiet", textContent: "All", onclick: () => setWindow(firstTime, lastTime) })));
