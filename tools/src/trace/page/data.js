// What the trace has, and what follows from it. Texts stand once in `strings`; messages are columns of numbers.

const trace = JSON.parse(document.getElementById("data").textContent);
const { strings, lanes } = trace;
const column = trace.messages;
const count = column.kind.length;
const CALL = 0, REPLY = 1, ERROR = 2, SIGNAL = 3, UNKNOWN = 4;
const KINDS = [
  { name: "call", many: "Calls", one: "Method call" },
  { name: "reply", many: "Replies", one: "Reply" },
  { name: "error", many: "Errors", one: "Error" },
  { name: "signal", many: "Signals", one: "Signal" },
  { name: "unknown", many: "Unknown", one: "Message of an unknown type" },
];
const NO_REPLY_EXPECTED = 1;

const kinds = Uint8Array.from(column.kind);
const from = Int32Array.from(column.from);
const to = Int32Array.from(column.to);
const callOf = Int32Array.from(column.call);
// A capture without times has the order alone: a message is one step after the one before.
const hasTimes = trace.begin !== null;
const STEP = 1000;
const time = Float64Array.from(column.time, (micros, index) => (hasTimes ? micros : index * STEP));
const answerOf = new Int32Array(count).fill(-1);
// How long the answer took, of calls and of their answers.
const latency = new Float64Array(count).fill(NaN);
const isUnanswered = new Uint8Array(count);

let firstTime = 0, lastTime = 1;
for (let index = 0; index < count; index++) {
  firstTime = Math.min(firstTime, time[index]);
  lastTime = Math.max(lastTime, time[index]);
  const call = callOf[index];
  if (call >= 0) {
    answerOf[call] = index;
    if (hasTimes) latency[call] = latency[index] = Math.max(0, time[index] - time[call]);
  }
}
for (const call of trace.unanswered) isUnanswered[call] = 1;

// What a message is about: a reply is about what its call is about.
function subject(index) {
  return callOf[index] >= 0 ? callOf[index] : index;
}

function memberOf(index) {
  return strings[column.member[subject(index)]];
}

function interfaceOf(index) {
  return strings[column.interface[subject(index)]];
}

function pathOf(index) {
  return strings[column.path[subject(index)]];
}

function isError(index) {
  return kinds[index] === ERROR;
}

// A call that ended badly, or has no answer at all, is found with its error.
function hasFailed(index) {
  const answer = answerOf[index];
  return isError(index) || (answer >= 0 && isError(answer));
}

// Names that are read by people come first; the unique name tells clients apart.
function laneTitle(lane) {
  if (lane < 0) return "everybody";
  const { name, names } = lanes[lane];
  return names.length > 0 ? names[0] : name || "no name";
}

function laneUnique(lane) {
  if (lane < 0) return "";
  const { name, names } = lanes[lane];
  if (names.length === 0) return "";
  return names.length > 1 ? `${name}, +${names.length - 1} names` : name;
}

function laneText(lane) {
  const unique = laneUnique(lane);
  return unique ? `${laneTitle(lane)} (${unique})` : laneTitle(lane);
}

// A name without its first parts, as far as it has to be short: it is the last ones that tell names apart.
function shortName(name, size) {
  let short = name;
  while (short.length > size && short.includes(".") && !name.startsWith(":")) short = short.slice(short.indexOf(".") + 1);
  return short;
}

const number = new Intl.NumberFormat("en");

function showNumber(value) {
  return number.format(value);
}

function showDuration(micros) {
  if (Number.isNaN(micros)) return "";
  if (micros < 1000) return `${Math.round(micros)} µs`;
  if (micros < 1e6) return `${(micros / 1000).toFixed(micros < 1e4 ? 2 : 1)} ms`;
  if (micros < 60e6) return `${(micros / 1e6).toFixed(2)} s`;
  const seconds = Math.round(micros / 1e6), minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function showTime(micros) {
  if (!hasTimes) return `#${Math.round(micros / STEP) + 1}`;
  return `${(micros / 1e6).toFixed(6)}`;
}

function showClock(micros) {
  const date = new Date((trace.begin + micros) / 1000);
  if (Number.isNaN(date.getTime())) return "";
  const fraction = String(Math.floor(((trace.begin + micros) % 1e6 + 1e6) % 1e6)).padStart(6, "0");
  return `${date.toISOString().slice(0, 19).replace("T", " ")}.${fraction} UTC`;
}

function showSize(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} kB`;
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
