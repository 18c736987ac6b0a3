// Joins the views, the filters and the keyboard.

const byId = (id) => document.getElementById(id);
const HINTS = {
  sequence: "Solid arrows call or signal, dashed ones answer",
  timeline: "Drag to move, Ctrl and wheel to zoom",
  talkers: "Click a number to see those messages",
  table: "",
  methods: "Click a method to see its calls",
};
const REDRAW = {
  sequence: () => soon(sequenceScroller.redraw),
  timeline: () => soon(timelineScroller.redraw),
  talkers: () => soon(drawTalkers),
  table: () => soon(drawTable),
  methods: () => soon(drawMethods),
};
// What is laid out once for each filtering, when it is looked at.
const isLaidOut = {};
const LAY_OUT = { sequence: layOutSequence, timeline: layOutTimeline };

function redraw() {
  if (!isLaidOut[state.view]) {
    isLaidOut[state.view] = true;
    LAY_OUT[state.view]?.();
  }
  REDRAW[state.view]();
  soon(drawOverview);
}

function setView(view) {
  state.view = view;
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const isThis = tab.dataset.view === view;
    tab.setAttribute("aria-selected", isThis);
    tab.tabIndex = isThis ? 0 : -1;
    byId(tab.dataset.view).hidden = !isThis;
  }
  byId("hint").textContent = HINTS[view];
  redraw();
  showChosen();
}

function showChosen() {
  const place = state.chosen < 0 ? -1 : placeOf[state.chosen];
  if (place < 0) return;
  // How far it can be scrolled must be known before.
  if (state.view === "sequence") {
    sizeSequence();
    sequenceScroller.show(place * ROW, ROW, SEQUENCE_HEAD);
    showArrow(state.chosen);
  }
  if (state.view === "table") {
    sizeTable();
    showInTable(place);
  }
}

function showArrow(index) {
  const { columnOf } = sequence;
  const ends = [columnOf[from[index]], to[index] < 0 ? columnOf[from[index]] : columnOf[to[index]]];
  const width = laneWidth(sequenceScroller.view);
  sequenceScroller.showAcross(Math.min(...ends) * width, (Math.max(...ends) + 1) * width, GUTTER);
}

whenFiltered.push(() => {
  byId("clear").hidden = shown.length === count && isWholeTime();
  for (const view of Object.keys(LAY_OUT)) isLaidOut[view] = false;
  byId("count").textContent = shown.length === count
    ? `${showNumber(count)} messages` : `${showNumber(shown.length)} of ${showNumber(count)} messages`;
  redraw();
  showChosen();
});
whenChosen.push(() => {
  drawDetails();
  redraw();
  showChosen();
});

function fact(name, value, className = "") {
  return element("div", { className }, element("dt", { textContent: name }), element("dd", { textContent: value }));
}

function drawFacts() {
  const took = latency.filter((value, index) => kinds[index] === CALL && !Number.isNaN(value)).sort();
  const ofKind = (kind) => kinds.reduce((sum, one) => sum + (one === kind), 0);
  const errors = ofKind(ERROR);
  const facts = [fact("messages", showNumber(count)), fact("clients", showNumber(lanes.length))];
  if (hasTimes) facts.push(fact("time", showDuration(lastTime - firstTime)));
  if (took.length > 0) {
    facts.push(fact("median answer", showDuration(percentile(took, 0.5))), fact("slowest", showDuration(percentile(took, 1))));
  }
  facts.push(fact("errors", showNumber(errors), errors > 0 ? "bad" : ""));
  facts.push(fact("no reply", showNumber(trace.unanswered.length), trace.unanswered.length > 0 ? "late" : ""));
  byId("facts").replaceChildren(...facts);
  byId("title").textContent = document.title = trace.title;
  byId("source").textContent = [trace.source, hasTimes ? showClock(0) : ""].filter((text) => text).join("  ·  ");
  byId("notices").hidden = trace.notices.length === 0;
  byId("notices").replaceChildren(...trace.notices.map((textContent) => element("p", { textContent })));
}

function makeKinds() {
  KINDS.forEach(({ name, many }, kind) => {
    const amount = kinds.reduce((sum, one) => sum + (one === kind), 0);
    if (amount === 0 && kind === UNKNOWN) return;
    const button = element("button", { type: "button", className: `is-${name}`, ariaPressed: "true", onclick: () => toggleKind(kind) },
      many, element("small", { textContent: showNumber(amount) }));
    button.dataset.kind = kind;
    byId("kinds").append(button);
  });
}

function toggleKind(kind) {
  if (!state.kinds.delete(kind)) state.kinds.add(kind);
  showFilters();
  applyFilters();
}

// More choices than that nobody looks through: the search field finds the others.
const CHOICES_MAX = 2000;

// Lanes by name, so that one can be found among hundreds.
function makeChoices() {
  const sorted = lanes.map((_, lane) => lane).sort((one, other) => laneText(one).localeCompare(laneText(other)));
  const option = (value, textContent) => element("option", { value, textContent });
  const options = () => sorted.slice(0, CHOICES_MAX).map((lane) => option(lane, laneText(lane)));
  byId("from").append(option("", "anybody"), ...options());
  byId("to").append(option("", "anybody"), option(-1, "everybody (signals)"), ...options());
  const members = new Set();
  for (let index = 0; index < count && members.size < CHOICES_MAX; index++) if (column.member[index]) members.add(column.member[index]);
  byId("members").append(...[...members].map((id) => strings[id]).sort().map((value) => element("option", { value })));
}

// Shows in the fields what the state says.
function showFilters() {
  const textOf = (value) => (Number.isNaN(value) ? "" : String(value));
  byId("text").value = state.text;
  byId("member").value = state.member;
  byId("from").value = textOf(state.from);
  byId("to").value = textOf(state.to);
  byId("slower").value = textOf(state.slower);
  byId("errors").checked = state.errorsOnly;
  for (const button of byId("kinds").children) button.setAttribute("aria-pressed", state.kinds.has(Number(button.dataset.kind)));
}

function readFilters() {
  const numberOf = (id) => (byId(id).value === "" ? NaN : Number(byId(id).value));
  state.text = byId("text").value;
  state.member = byId("member").value;
  state.from = numberOf("from");
  state.to = numberOf("to");
  state.slower = numberOf("slower");
  state.errorsOnly = byId("errors").checked;
}

function clearFilters() {
  Object.assign(state, { text: "", member: "", from: NaN, to: NaN, slower: NaN, errorsOnly: false, begin: firstTime, end: lastTime });
  state.kinds = new Set([CALL, REPLY, ERROR, SIGNAL, UNKNOWN]);
  showFilters();
  applyFilters();
}

let typing = 0;
byId("filters").addEventListener("input", () => {
  clearTimeout(typing);
  // Who types fast is not kept waiting by each letter.
  typing = setTimeout(() => { readFilters(); applyFilters(); }, count > 20000 ? 150 : 0);
});
byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("filters").addEventListener("reset", (event) => { event.preventDefault(); clearFilters(); });
for (const tab of document.querySelectorAll("[role=tab]")) tab.addEventListener("click", () => setView(tab.dataset.view));

function setDark(isDark) {
  byId("theme").textContent = isDark ? "Light" : "Dark";
  document.documentElement.classList.toggle("dark", isDark);
  readColours();
  redraw();
}
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
prefersDark.addEventListener("change", () => setDark(prefersDark.matches));
byId("theme").addEventListener("click", () => setDark(!document.documentElement.classList.contains("dark")));

function letGo() {
  if (state.chosen >= 0) choose(-1);
  else clearFilters();
}

function goToPartner() {
  const partner = callOf[state.chosen] >= 0 ? callOf[state.chosen] : answerOf[state.chosen];
  if (state.chosen >= 0 && partner >= 0) choose(partner);
}

const KEYS = {
  ArrowDown: () => chooseBy(1), j: () => chooseBy(1), ArrowUp: () => chooseBy(-1), k: () => chooseBy(-1),
  PageDown: () => chooseBy(15), PageUp: () => chooseBy(-15), Home: () => chooseBy(-count), End: () => chooseBy(count),
  r: goToPartner, Escape: letGo, "/": () => byId("text").focus(),
  e: () => { state.errorsOnly = !state.errorsOnly; showFilters(); applyFilters(); },
  "+": () => zoomWindow(0.625, 0.5), "-": () => zoomWindow(1.6, 0.5),
};
["sequence", "timeline", "talkers", "table", "methods"].forEach((view, place) => { KEYS[place + 1] = () => setView(view); });

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || !KEYS[event.key]) return;
  const { tagName, role } = event.target;
  if (event.target.matches("input, select")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (tagName === "BUTTON" && role !== "tab" && event.key.startsWith("Arrow")) return;
  event.preventDefault();
  KEYS[event.key]();
});

readColours();
makeKinds();
makeChoices();
drawFacts();
drawDetails();
showFilters();
setDark(prefersDark.matches);
setView("sequence");
applyFilters();
