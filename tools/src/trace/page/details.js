// The chosen message: its header, its arguments with their types, and the other half of the conversation.

const details = document.getElementById("details");

function drawDetails() {
  if (state.chosen < 0) {
    details.replaceChildren(...emptyDetails());
    return;
  }
  const index = state.chosen;
  const call = callOf[index], answer = answerOf[index];
  details.replaceChildren(
    ...badges(index),
    element("h2", { textContent: strings[column.error[index]] || memberOf(index) || "(no member)" }),
    element("p", { className: "sub", textContent: interfaceOf(index) || pathOf(index) }),
    header(index),
    ...body(index, "Arguments"),
    ...(call >= 0 ? body(call, `Call #${showNumber(call + 1)}`) : []),
    ...(answer >= 0 ? body(answer, `${KINDS[kinds[answer]].one} #${showNumber(answer + 1)}, ${showDuration(latency[index])} later`) : []),
    links(index, call, answer));
  details.scrollTop = 0;
}

function emptyDetails() {
  const keys = [["↑ ↓", "choose a message"], ["r", "go to its reply or call"], ["1 – 5", "change the view"], ["/", "search"], ["e", "errors only"], ["+ −", "zoom in time"], ["Esc", "let go; show all again"]];
  return [
    element("h2", { textContent: "No message is chosen" }),
    element("p", { className: "sub", textContent: "Click an arrow, a bar or a row to see what is in it." }),
    element("div", { className: "keys" }, ...keys.flatMap(([key, text]) => [element("span", {}, element("kbd", { textContent: key })), element("span", { textContent: text })])),
  ];
}

function badges(index) {
  const badge = (kind, textContent) => element("span", { className: `badge is-${kind}`, textContent });
  const kind = KINDS[kinds[index]];
  const made = [badge(kind.name, kind.one)];
  if (isUnanswered[index]) made.push(badge("unknown", "No reply in this trace"));
  if (column.kept[index] !== undefined) made.push(badge("unknown", "Cut by the capture"));
  return made;
}

function header(index) {
  const pairs = [
    ["Number", showNumber(index + 1)],
    ["Time", hasTimes ? `${showTime(time[index])} s` : ""],
    ["", hasTimes ? showClock(time[index]) : ""],
    ["Took", showDuration(latency[index])],
    ["Sender", strings[column.sender[index]] ? laneText(from[index]) : ""],
    ["Destination", strings[column.destination[index]] || (to[index] < 0 ? "everybody" : "")],
    ["Recipient", to[index] >= 0 && lanes[to[index]].name !== strings[column.destination[index]] ? lanes[to[index]].name : ""],
    ["Path", strings[column.path[index]]],
    ["Interface", strings[column.interface[index]]],
    ["Member", strings[column.member[index]]],
    ["Serial", showNumber(column.serial[index])],
    ["Reply to", column.reply_serial[index] ? `serial ${showNumber(column.reply_serial[index])}` : ""],
    ["Flags", flagNames(column.flags[index])],
    ["Signature", strings[column.signature[index]]],
    ["Descriptors", column.fds[index] ? String(column.fds[index]) : ""],
    ["Size", showSize(column.size[index]) + (column.kept[index] === undefined ? "" : `, of which ${showSize(column.kept[index])} were kept`)],
  ];
  return element("dl", {}, ...pairs.filter(([, value]) => value).flatMap(([name, value]) =>
    [element("dt", { textContent: name }), element("dd", { textContent: value })]));
}

function flagNames(flags) {
  const names = ["no reply expected", "no auto start", "may ask the user"];
  return names.filter((_, bit) => flags & (1 << bit)).join(", ");
}

function body(index, title) {
  const heading = element("h3", { textContent: title });
  if (column.kept[index] !== undefined) return [heading, element("p", { className: "empty", textContent: "Not captured." })];
  const lines = column.body[index].split("\n").filter((line) => line);
  if (lines.length === 0) return [heading, element("p", { className: "empty", textContent: "None." })];
  return [heading, ...lines.map(argument)];
}

// A line is a type, a blank, and the value.
function argument(line) {
  const text = line.trim();
  const blank = text.indexOf(" ");
  const [type, value] = blank < 0 ? ["", text] : [text.slice(0, blank), text.slice(blank + 1)];
  return element("div", { className: "argument" }, element("code", { textContent: type }), element("span", { textContent: value }));
}

function links(index, call, answer) {
  const button = (textContent, onclick) => element("button", { type: "button", className: "quiet", textContent, onclick });
  const made = [];
  if (call >= 0) made.push(button("Go to the call", () => choose(call)));
  if (answer >= 0) made.push(button("Go to the reply", () => choose(answer)));
  const between = () => showBetween(from[subject(index)], to[subject(index)]);
  made.push(button("All between the two", between));
  made.push(button("All of this member", () => { state.member = memberOf(index); showFilters(); applyFilters(); }));
  return element("div", { className: "links" }, ...made);
}
