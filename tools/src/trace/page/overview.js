// How many messages there were when, and the part of time that all views look at.

const overviewCanvas = document.querySelector("#overview canvas");
const overview = { anchor: null };
const PAD = 10;

function overviewX(micros, width) {
  return PAD + ((micros - firstTime) / (lastTime - firstTime)) * (width - 2 * PAD);
}

function overviewTime(event) {
  const bounds = overviewCanvas.getBoundingClientRect();
  const part = (event.clientX - bounds.left - PAD) / (bounds.width - 2 * PAD);
  return firstTime + Math.max(0, Math.min(1, part)) * (lastTime - firstTime);
}

// Messages by bins and kinds; the passing ones of the filters, whatever time is looked at.
function overviewBins(binCount) {
  const bins = KINDS.map(() => new Uint32Array(binCount));
  for (let index = 0; index < count; index++) {
    const bin = Math.floor(((time[index] - firstTime) / (lastTime - firstTime)) * binCount);
    bins[kinds[index]][Math.min(binCount - 1, bin)]++;
  }
  return bins;
}

function drawOverview() {
  const { clientWidth: width, clientHeight: height } = overviewCanvas.parentElement;
  if (width === 0) return;
  const context = prepare(overviewCanvas, width, height);
  const binCount = Math.max(1, Math.floor((width - 2 * PAD) / 4));
  const bins = overviewBins(binCount);
  let most = 1;
  for (let bin = 0; bin < binCount; bin++) most = Math.max(most, bins.reduce((sum, kind) => sum + kind[bin], 0));
  const base = height - 14;
  // The root keeps a quiet minute visible beside a storm.
  const scale = (base - 8) / Math.sqrt(most);
  for (let bin = 0; bin < binCount; bin++) drawBin(context, bins, bin, base, scale);
  drawOverviewTimes(context, width, height);
  drawWindow(context, width, height);
}

function drawBin(context, bins, bin, base, scale) {
  const total = bins.reduce((sum, kind) => sum + kind[bin], 0);
  if (total === 0) return;
  const height = Math.max(2, Math.sqrt(total) * scale);
  let y = base;
  for (const kind of [REPLY, CALL, SIGNAL, UNKNOWN, ERROR]) {
    if (bins[kind][bin] === 0) continue;
    const part = Math.max(kind === ERROR ? 2 : 0, (height * bins[kind][bin]) / total);
    context.fillStyle = colour[KINDS[kind].name];
    context.globalAlpha = kind === ERROR ? 1 : 0.7;
    context.fillRect(PAD + bin * 4, y - part, 3, part);
    y -= part;
  }
  context.globalAlpha = 1;
}

function drawOverviewTimes(context, width, height) {
  context.fillStyle = colour.faint;
  context.font = font(10);
  const step = (lastTime - firstTime) / 6;
  for (let tick = 0; tick <= 6; tick++) {
    context.textAlign = tick === 0 ? "left" : tick === 6 ? "right" : "center";
    const micros = firstTime + tick * step;
    context.fillText(tick === 0 && hasTimes ? "0" : hasTimes ? showDuration(micros) : showTime(micros), overviewX(micros, width), height - 6);
  }
  context.textAlign = "left";
}

function drawWindow(context, width, height) {
  const begin = overviewX(state.begin, width), end = Math.max(begin + 2, overviewX(state.end, width));
  if (!isWholeTime()) {
    context.fillStyle = colour.ground;
    context.globalAlpha = 0.72;
    context.fillRect(0, 0, begin, height);
    context.fillRect(end, 0, width - end, height);
    context.globalAlpha = 1;
    context.strokeStyle = colour.accent;
    context.lineWidth = 1.5;
    context.strokeRect(begin, 1, end - begin, height - 2);
  }
  if (state.chosen < 0) return;
  context.fillStyle = colour.text;
  context.fillRect(overviewX(time[state.chosen], width) - 0.5, 0, 1, height - 12);
}

overviewCanvas.addEventListener("pointerdown", (event) => {
  overview.anchor = overviewTime(event);
  overviewCanvas.setPointerCapture(event.pointerId);
});
overviewCanvas.addEventListener("pointermove", (event) => {
  if (overview.anchor === null) return;
  const here = overviewTime(event);
  if (Math.abs(here - overview.anchor) * 300 < lastTime - firstTime) return;
  setWindow(Math.min(here, overview.anchor), Math.max(here, overview.anchor));
});
overviewCanvas.addEventListener("pointerup", () => { overview.anchor = null; });
overviewCanvas.addEventListener("dblclick", () => setWindow(firstTime, lastTime));
overviewCanvas.addEventListener("keydown", (event) => {
  const size = state.end - state.begin;
  const actions = {
    ArrowLeft: () => setWindow(state.begin - size / 8, state.end - size / 8),
    ArrowRight: () => setWindow(state.begin + size / 8, state.end + size / 8),
    "+": () => zoomWindow(0.7, 0.5),
    "-": () => zoomWindow(1.4, 0.5),
    Escape: () => setWindow(firstTime, lastTime),
  };
  if (!actions[event.key]) return;
  event.preventDefault();
  event.stopPropagation();
  actions[event.key]();
});
new ResizeObserver(() => soon(drawOverview)).observe(overviewCanvas.parentElement);
