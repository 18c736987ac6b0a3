// Who talks to whom, as a table of counts or bytes; and which methods are called, how often and how fast.

const TALKERS_MAX = 30, METHODS_MAX = 500;
const talkers = { isBytes: false };
const methods = { order: "total" };

// The busiest lanes first; -1 is everybody, who gets what is broadcast.
function busiest() {
  const amounts = new Map();
  const add = (lane, amount) => amounts.set(lane, (amounts.get(lane) ?? 0) + amount);
  for (const index of shown) {
    const amount = talkers.isBytes ? column.size[index] : 1;
    add(from[index], amount);
    if (to[index] >= 0) add(to[index], amount);
  }
  const sorted = [...amounts].sort((one, other) => other[1] - one[1]).map(([lane]) => lane);
  return { lanes: sorted.slice(0, TALKERS_MAX), leftOut: sorted.length - TALKERS_MAX };
}

function amountsBetween() {
  const amounts = new Map();
  for (const index of shown) {
    const key = `${from[index]} ${to[index]}`;
    amounts.set(key, (amounts.get(key) ?? 0) + (talkers.isBytes ? column.size[index] : 1));
  }
  return amounts;
}

function showAmount(amount) {
  if (talkers.isBytes) return showSize(amount);
  return amount < 10000 ? showNumber(amount) : `${(amount / 1000).toFixed(amount < 1e5 ? 1 : 0)} k`;
}

function drawTalkers() {
  const place = document.getElementById("talkers");
  const { lanes: rows, leftOut } = busiest();
  const amounts = amountsBetween();
  const columns = [...rows, -1];
  let most = 1;
  for (const amount of amounts.values()) most = Math.max(most, amount);
  const head = element("tr", {}, element("th"), ...columns.map((lane) =>
    element("th", { scope: "col", title: laneText(lane) }, element("span", { textContent: shortName(laneTitle(lane), 22) }))),
  element("th", { scope: "col" }, element("span", { textContent: "all" })));
  const body = rows.map((sender) => talkerRow(sender, columns, amounts, most));
  const choice = (isBytes, text) => element("button", {
    type: "button", textContent: text, ariaPressed: String(talkers.isBytes === isBytes),
    onclick: () => { talkers.isBytes = isBytes; drawTalkers(); },
  });
  const more = leftOut > 0 ? `The ${TALKERS_MAX} busiest; ${leftOut} more are left out.` : "Each row sends, each column receives.";
  place.replaceChildren(
    element("div", { className: "switch" },
      element("span", { className: "kinds plain", role: "group", ariaLabel: "What is counted" }, choice(false, "Messages"), choice(true, "Bytes")), more),
    element("table", { className: "matrix" }, element("thead", {}, head), element("tbody", {}, ...body)));
}

function talkerRow(sender, columns, amounts, most) {
  let total = 0;
  const cells = columns.map((recipient) => {
    const amount = amounts.get(`${sender} ${recipient}`) ?? 0;
    total += amount;
    return talkerCell(sender, recipient, amount, most);
  });
  const name = element("th", { scope: "row", title: laneText(sender), textContent: laneTitle(sender) });
  return element("tr", {}, name, ...cells, element("td", { className: "total", textContent: showAmount(total) }));
}

function talkerCell(sender, recipient, amount, most) {
  const cell = element("td");
  if (amount === 0) return cell;
  // The root again: one busy pair must not make all others look alike.
  const share = Math.round(12 + 78 * Math.sqrt(amount / most));
  cell.style.background = `color-mix(in srgb, var(--accent) ${share}%, var(--raised))`;
  const title = `${laneText(sender)} to ${laneText(recipient)}: ${showAmount(amount)}`;
  const show = element("button", { type: "button", textContent: showAmount(amount), title, onclick: () => showBetween(sender, recipient) });
  if (share > 55) show.style.color = "var(--panel)";
  cell.append(show);
  return cell;
}

function showBetween(sender, recipient) {
  state.from = sender;
  state.to = recipient;
  showFilters();
  setView("sequence");
  applyFilters();
}

function percentile(sorted, part) {
  return sorted.length === 0 ? NaN : sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
}

function methodRows() {
  const rows = new Map();
  for (const index of shown) {
    if (kinds[index] !== CALL) continue;
    const key = column.interface[index] * strings.length + column.member[index];
    if (!rows.has(key)) rows.set(key, { member: memberOf(index), interface: interfaceOf(index), calls: 0, errors: 0, lost: 0, took: [] });
    const row = rows.get(key);
    row.calls++;
    if (answerOf[index] >= 0 && isError(answerOf[index])) row.errors++;
    if (isUnanswered[index]) row.lost++;
    if (!Number.isNaN(latency[index])) row.took.push(latency[index]);
  }
  for (const row of rows.values()) {
    row.took.sort((one, other) => one - other);
    row.total = row.took.reduce((sum, one) => sum + one, 0);
    row.median = percentile(row.took, 0.5);
    row.high = percentile(row.took, 0.95);
    row.most = percentile(row.took, 1);
  }
  const value = (row) => row[methods.order] || 0;
  return [...rows.values()].sort((one, other) => value(other) - value(one) || other.calls - one.calls).slice(0, METHODS_MAX);
}

const METHOD_COLUMNS = [["calls", "Calls"], ["errors", "Errors"], ["lost", "No reply"], ["median", "Median"], ["high", "95 %"], ["most", "Longest"], ["total", "In all"]];

function drawMethods() {
  const rows = methodRows();
  const most = Math.max(1, ...rows.map((row) => row.total));
  const head = METHOD_COLUMNS.map(([order, text]) => {
    const cell = element("th", { scope: "col" }, element("button", { type: "button", textContent: text, onclick: () => { methods.order = order; drawMethods(); } }));
    if (methods.order === order) cell.setAttribute("aria-sort", "descending");
    return cell;
  });
  document.getElementById("methods").replaceChildren(element("table", { className: "methods" },
    element("thead", {}, element("tr", {}, element("th", { textContent: "Method" }), ...head, element("th", { className: "bar" }))),
    element("tbody", {}, ...rows.map((row) => methodRow(row, most)))));
}

function methodRow(row, most) {
  const cell = (textContent, className = "") => element("td", { textContent, className });
  const bar = element("i");
  bar.style.width = `${(100 * row.total) / most}%`;
  const name = element("td", {}, element("b", { textContent: row.member }), " ", element("span", { className: "dim", textContent: row.interface }));
  return element("tr", { onclick: () => showMember(row) }, name, cell(showNumber(row.calls)),
    cell(row.errors || "", "bad"), cell(row.lost || ""), cell(showDuration(row.median)), cell(showDuration(row.high)),
    cell(showDuration(row.most)), cell(showDuration(row.took.length > 0 ? row.total : NaN)), element("td", { className: "bar" }, bar));
}

function showMember(row) {
  state.member = row.interface ? `${row.interface}.${row.member}` : row.member;
  showFilters();
  setView("timeline");
  applyFilters();
}
