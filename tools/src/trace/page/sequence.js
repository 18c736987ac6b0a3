// The sequence diagram: each client has a line, each message is an arrow between two of them.

const ROW = 34, SEQUENCE_HEAD = 62, GUTTER = 92, LANE_LEAST = 112, LANE_MOST = 300;
// Calls that are open for more rows are marked at both ends, not all the way.
const OPEN_ROWS_MAX = 4000, OPEN_CHUNK = 64, OPEN_IN_CHUNK_MAX = 200;

const sequence = {
  // Lanes that take part, and the column of each.
  lanes: [],
  columnOf: new Int32Array(lanes.length),
  // By rows: the places of calls that are open there.
  open: new Map(),
  hovered: -1,
};

function layOutSequence() {
  const used = [];
  sequence.columnOf.fill(-1);
  const use = (lane) => {
    if (lane < 0 || sequence.columnOf[lane] >= 0) return;
    sequence.columnOf[lane] = used.length;
    used.push(lane);
  };
  for (const index of shown) {
    use(from[index]);
    use(to[index]);
  }
  sequence.lanes = used;
  sequence.open = new Map();
  shown.forEach((index, place) => noteOpen(index, place));
}

function noteOpen(index, place) {
  const end = answerOf[index] >= 0 ? placeOf[answerOf[index]] : -1;
  if (kinds[index] !== CALL || end < 0 || end - place > OPEN_ROWS_MAX) return;
  for (let chunk = Math.floor(place / OPEN_CHUNK); chunk <= Math.floor(end / OPEN_CHUNK); chunk++) {
    const calls = sequence.open.get(chunk) ?? [];
    if (calls.length < OPEN_IN_CHUNK_MAX) calls.push(place);
    sequence.open.set(chunk, calls);
  }
}

function laneWidth(view) {
  const room = (view.width - GUTTER - 12) / Math.max(1, sequence.lanes.length);
  return Math.max(LANE_LEAST, Math.min(LANE_MOST, room));
}

function laneX(lane, view) {
  const width = laneWidth(view);
  return GUTTER + (sequence.columnOf[lane] + 0.5) * width - view.left;
}

function rowY(place, view) {
  return SEQUENCE_HEAD + place * ROW - view.top;
}

function sizeSequence() {
  const width = GUTTER + sequence.lanes.length * laneWidth(sequenceScroller.view);
  sequenceScroller.setSize(width, SEQUENCE_HEAD + shown.length * ROW + 12);
}

function drawSequence(context, view) {
  sizeSequence();
  const first = Math.max(0, Math.floor(view.top / ROW));
  const last = Math.min(shown.length, Math.ceil((view.top + view.height) / ROW));
  drawBands(context, view, first, last);
  context.save();
  context.beginPath();
  context.rect(GUTTER, SEQUENCE_HEAD, view.width - GUTTER, view.height);
  context.clip();
  drawLifelines(context, view);
  drawOpen(context, view, first, last);
  for (let place = first; place < last; place++) drawArrow(context, view, place);
  context.restore();
  drawTimes(context, view, first, last);
  drawHeads(context, view);
}

// The chosen message, its call or reply, and the one under the pointer stand out.
function drawBands(context, view, first, last) {
  const partner = state.chosen < 0 ? -1 : callOf[state.chosen] >= 0 ? callOf[state.chosen] : answerOf[state.chosen];
  for (let place = first; place < last; place++) {
    const index = shown[place];
    if (index === state.chosen || index === partner) context.fillStyle = colour.chosen;
    else if (place === sequence.hovered) context.fillStyle = colour.hover;
    else continue;
    context.fillRect(0, rowY(place, view), view.width, ROW);
    if (index !== state.chosen) continue;
    context.fillStyle = colour.accent;
    context.fillRect(0, rowY(place, view), 3, ROW);
  }
}

function drawLifelines(context, view) {
  const end = Math.min(view.height, rowY(shown.length, view) + 8);
  context.strokeStyle = colour.grid;
  context.lineWidth = 1;
  context.setLineDash([3, 4]);
  context.lineDashOffset = view.top;
  context.beginPath();
  for (const lane of sequence.lanes) {
    const x = Math.round(laneX(lane, view)) + 0.5;
    if (x < GUTTER - 20 || x > view.width + 20) continue;
    context.moveTo(x, SEQUENCE_HEAD);
    context.lineTo(x, end);
  }
  context.stroke();
  context.setLineDash([]);
  context.lineDashOffset = 0;
}

// From the call to its reply the one who was called has a bar.
function drawOpen(context, view, first, last) {
  const calls = new Set();
  for (let chunk = Math.floor(first / OPEN_CHUNK); chunk <= Math.floor(last / OPEN_CHUNK); chunk++) {
    for (const place of sequence.open.get(chunk) ?? []) calls.add(place);
  }
  for (const place of calls) {
    const index = shown[place], answer = answerOf[index];
    const begin = rowY(place, view) + ROW - 10, end = rowY(placeOf[answer], view) + ROW - 10;
    if (end < SEQUENCE_HEAD || begin > view.height) continue;
    const x = laneX(to[index], view);
    context.fillStyle = isError(answer) ? colour.error : colour.call;
    context.globalAlpha = 0.22;
    roundBox(context, x - 4, begin, 8, Math.max(3, end - begin), 2);
    context.fill();
    context.globalAlpha = 1;
  }
}

function drawArrow(context, view, place) {
  const index = shown[place];
  const y = Math.round(rowY(place, view) + ROW - 10) + 0.5;
  const start = laneX(from[index], view);
  const isBroadcast = to[index] < 0;
  const other = isBroadcast ? start : laneX(to[index], view);
  if (Math.min(start, other) > view.width) return drawAside(context, index, view.width - 10, y, "right");
  if (Math.max(start, other) < GUTTER) return drawAside(context, index, GUTTER + 4, y, "left");
  const isLoop = to[index] === from[index];
  const width = laneWidth(view);
  const end = isBroadcast || isLoop ? start + Math.min(width * 0.42, 70) : laneX(to[index], view);
  context.strokeStyle = context.fillStyle = kindColour(index);
  context.lineWidth = index === state.chosen ? 2.2 : 1.4;
  context.setLineDash(callOf[index] >= 0 || kinds[index] === REPLY || isError(index) ? [5, 3] : []);
  context.beginPath();
  if (isLoop) {
    context.moveTo(start, y - 8);
    context.lineTo(end, y - 8);
    context.lineTo(end, y);
    context.lineTo(start + 6, y);
  } else {
    const side = Math.sign(end - start);
    context.moveTo(start + 4 * side, y);
    context.lineTo(end - 9 * side, y);
  }
  context.stroke();
  context.setLineDash([]);
  if (isBroadcast) drawWaves(context, end - 12, y);
  else drawHead(context, isLoop ? start : end, y, isLoop ? -1 : Math.sign(end - start), isUnanswered[index]);
  context.beginPath();
  context.arc(start, isLoop ? y - 8 : y, 2.6, 0, 7);
  context.fill();
  drawLabel(context, index, start, end, y, width);
}

// A message between lanes that lie beside what can be seen is named at that side.
function drawAside(context, index, x, y, side) {
  context.textAlign = side;
  context.font = font(11);
  context.fillStyle = colour.faint;
  const [text] = arrowTexts(index);
  context.fillText(side === "left" ? `◂ ${text}` : `${text} ▸`, x, y - 4);
  context.textAlign = "left";
}

function drawHead(context, x, y, side, isHollow) {
  const tip = x - 4 * side;
  context.beginPath();
  context.moveTo(tip, y);
  context.lineTo(tip - 8 * side, y - 4.5);
  context.lineTo(tip - 8 * side, y + 4.5);
  context.closePath();
  context.lineWidth = 1.4;
  if (isHollow) context.stroke();
  else context.fill();
}

function drawWaves(context, x, y) {
  for (const radius of [4, 8, 12]) {
    context.beginPath();
    context.arc(x, y, radius, -0.9, 0.9);
    context.globalAlpha = 1 - radius / 18;
    context.stroke();
  }
  context.globalAlpha = 1;
}

// What stands on an arrow: of a call its member, of a reply how long it took.
function arrowTexts(index) {
  if (kinds[index] === REPLY) {
    const took = showDuration(latency[index]);
    return [took ? `↩ ${took}` : "↩", callOf[index] >= 0 ? memberOf(index) : "reply"];
  }
  if (isError(index)) {
    const name = strings[column.error[index]];
    const took = showDuration(latency[index]);
    return [`✕ ${name.slice(name.lastIndexOf(".") + 1)}`, took || name];
  }
  const note = isUnanswered[index] ? "no reply" : strings[column.interface[index]];
  return [strings[column.member[index]] || "(no member)", note];
}

function drawLabel(context, index, start, end, y, width) {
  const [text, note] = arrowTexts(index);
  const isShort = to[index] < 0 || to[index] === from[index];
  // On the part of the arrow that can be seen.
  const right = sequenceScroller.view.width - 6;
  const left = Math.max(GUTTER, Math.min(start, end)), stop = Math.min(right, Math.max(start, end));
  const room = isShort ? width * 1.2 : stop - left - 26;
  if (room < 24) return;
  context.font = font(12, 600);
  const shownText = fit(context, text, room);
  const textWidth = context.measureText(shownText).width;
  context.font = font(11);
  const shownNote = note && room - textWidth > 40 ? fitName(context, note, room - textWidth - 8) : "";
  const noteWidth = shownNote ? context.measureText(shownNote).width + 8 : 0;
  const x = isShort ? start + 10 : (left + stop) / 2 - (textWidth + noteWidth) / 2;
  context.fillStyle = isError(index) ? colour.error : colour.text;
  if (kinds[index] === REPLY) context.fillStyle = colour.reply;
  context.font = font(12, 600);
  context.fillText(shownText, x, y - (to[index] === from[index] ? 17 : 10));
  context.fillStyle = isUnanswered[index] ? colour.waiting : colour.muted;
  context.font = font(11);
  context.fillText(shownNote, x + textWidth + 8, y - (to[index] === from[index] ? 17 : 10));
}

function drawTimes(context, view, first, last) {
  context.font = font(11);
  context.textAlign = "right";
  for (let place = first; place < last; place++) {
    const isChosen = shown[place] === state.chosen;
    context.fillStyle = isChosen ? colour.text : colour.muted;
    context.fillText(showTime(time[shown[place]]), GUTTER - 12, rowY(place, view) + ROW - 10);
  }
  context.textAlign = "left";
}

function drawHeads(context, view) {
  context.fillStyle = colour.panel;
  context.fillRect(0, 0, view.width, SEQUENCE_HEAD - 6);
  const width = laneWidth(view);
  for (const lane of sequence.lanes) {
    const x = laneX(lane, view);
    if (x < GUTTER - width || x > view.width + width) continue;
    drawLaneHead(context, lane, x - width / 2 + 5, width - 10);
  }
  context.fillStyle = colour.panel;
  context.fillRect(0, 0, GUTTER - 6, SEQUENCE_HEAD - 6);
  context.fillStyle = colour.faint;
  context.font = font(11);
  context.textAlign = "right";
  context.fillText(hasTimes ? "seconds" : "number", GUTTER - 12, 30);
  context.textAlign = "left";
}

function drawLaneHead(context, lane, x, width) {
  roundBox(context, x, 8, width, 44, 8);
  context.fillStyle = colour.raised;
  context.fill();
  context.strokeStyle = colour.line;
  context.lineWidth = 1;
  context.stroke();
  const unique = laneUnique(lane);
  context.textAlign = "center";
  context.font = font(12, 600);
  context.fillStyle = colour.text;
  context.fillText(fitName(context, laneTitle(lane), width - 14), x + width / 2, unique ? 23 : 30);
  context.font = font(11);
  context.fillStyle = colour.muted;
  context.fillText(fit(context, unique, width - 16), x + width / 2, 39);
  context.textAlign = "left";
}

const sequenceScroller = new Scroller(document.getElementById("sequence"), "Sequence diagram; the tab Messages has the same as a table", drawSequence);

function sequencePlace(event) {
  const { y } = sequenceScroller.point(event);
  const place = Math.floor((y - SEQUENCE_HEAD + sequenceScroller.view.top) / ROW);
  return y >= SEQUENCE_HEAD && place < shown.length ? place : -1;
}

sequenceScroller.box.addEventListener("click", (event) => {
  const place = sequencePlace(event);
  if (place >= 0) choose(shown[place]);
});
sequenceScroller.box.addEventListener("pointermove", (event) => {
  const place = sequencePlace(event);
  if (place === sequence.hovered) return;
  sequence.hovered = place;
  sequenceScroller.box.classList.toggle("can-point", place >= 0);
  soon(sequenceScroller.redraw);
});
sequenceScroller.box.addEventListener("pointerleave", () => {
  sequence.hovered = -1;
  soon(sequenceScroller.redraw);
});
