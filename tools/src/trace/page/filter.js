// Which messages are shown, and which one is chosen. All views draw what stands here.

const state = {
  text: "",
  kinds: new Set([CALL, REPLY, ERROR, SIGNAL, UNKNOWN]),
  from: NaN,
  to: NaN,
  member: "",
  slower: NaN,
  errorsOnly: false,
  // The part of time that is looked at.
  begin: firstTime,
  end: lastTime,
  chosen: -1,
  view: "sequence",
};

// The numbers of the messages that are shown, in their order.
let shown = Int32Array.from({ length: count }, (_, index) => index);
// Where a message is among those; -1 if it is not.
let placeOf = new Int32Array(count);
const whenFiltered = [];
const whenChosen = [];

// A text is looked at once for all messages that have it.
function stringsWith(text) {
  const wanted = text.toLowerCase();
  return Uint8Array.from(strings, (string) => string.toLowerCase().includes(wanted));
}

function textFilter() {
  const text = state.text.trim();
  if (!text) return () => true;
  const has = stringsWith(text);
  const inBody = new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "i");
  const inLane = Uint8Array.from(lanes, (lane) => inBody.test(lane.name) || lane.names.some((name) => inBody.test(name)));
  const one = (index) =>
    has[column.sender[index]] || has[column.destination[index]] || has[column.path[index]] ||
    has[column.interface[index]] || has[column.member[index]] || has[column.error[index]] ||
    inLane[from[index]] || (to[index] >= 0 && inLane[to[index]]) || inBody.test(column.body[index]);
  return (index) => one(index) || (callOf[index] >= 0 && one(callOf[index]));
}

function memberFilter() {
  const wanted = state.member.trim().toLowerCase();
  if (!wanted) return () => true;
  const known = new Map();
  return (index) => {
    const about = subject(index);
    const key = column.interface[about] * strings.length + column.member[about];
    let matches = known.get(key);
    if (matches === undefined) {
      matches = `${interfaceOf(index)}.${memberOf(index)}`.toLowerCase().includes(wanted);
      known.set(key, matches);
    }
    return matches;
  };
}

// What goes from one to the other, and the replies to it.
function partyFilter() {
  const fits = (wanted, lane) => Number.isNaN(wanted) || wanted === lane;
  const goes = (index) => fits(state.from, from[index]) && fits(state.to, to[index]);
  return (index) => goes(index) || goes(subject(index));
}

function applyFilters() {
  const isWanted = [textFilter(), memberFilter(), partyFilter()];
  const least = state.slower * 1000;
  const passed = [];
  for (let index = 0; index < count; index++) {
    if (!state.kinds.has(kinds[index])) continue;
    if (time[index] < state.begin || time[index] > state.end) continue;
    if (state.errorsOnly && !hasFailed(index)) continue;
    if (!Number.isNaN(least) && !(latency[index] > least)) continue;
    if (isWanted.every((wanted) => wanted(index))) passed.push(index);
  }
  shown = Int32Array.from(passed);
  placeOf.fill(-1);
  for (let place = 0; place < shown.length; place++) placeOf[shown[place]] = place;
  for (const follow of whenFiltered) follow();
}

function choose(index) {
  state.chosen = index;
  for (const follow of whenChosen) follow();
}

// The next or one of the next among those that are shown.
function chooseBy(step) {
  if (shown.length === 0) return;
  const place = state.chosen >= 0 ? placeOf[state.chosen] : -1;
  const next = place < 0 ? (step > 0 ? 0 : shown.length - 1) : place + step;
  choose(shown[Math.max(0, Math.min(shown.length - 1, next))]);
}

function setWindow(begin, end) {
  const least = Math.min(10, lastTime - firstTime);
  const size = Math.max(least, Math.min(end - begin, lastTime - firstTime));
  state.begin = Math.max(firstTime, Math.min(begin, lastTime - size));
  state.end = state.begin + size;
  soon(applyFilters);
}

// `part` is where the zoom is centred, from 0 to 1.
function zoomWindow(factor, part) {
  const size = state.end - state.begin;
  const begin = state.begin + size * part * (1 - factor);
  setWindow(begin, begin + size * factor);
}

function isWholeTime() {
  return state.begin <= firstTime && state.end >= lastTime;
}

// Does something once before the next picture, however often it is asked for.
const awaited = new Set();
function soon(work) {
  if (awaited.has(work)) return;
  awaited.add(work);
  requestAnimationFrame(() => {
    awaited.delete(work);
    work();
  });
}
