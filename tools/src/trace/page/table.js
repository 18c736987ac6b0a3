// All messages as a table. There are only as many rows as can be seen; they are filled anew when it scrolls.

const TABLE_ROW = 26, TABLE_COLUMNS = ["#", hasTimes ? "Seconds" : "", "Kind", "From", "To", "Member", "Path", "Size", "Took"];

// It has the member and, beside it, of which interface it is.
const MEMBER_CELL = 5;

const table = { rows: [], isUsed: false };
const tableHead = element("div", { className: "head" }, element("div", { className: "cells" },
  ...TABLE_COLUMNS.map((textContent, place) => element("span", { textContent, className: [0, 1, 7, 8].includes(place) ? "number" : "" }))));
const tableSpacer = element("div", { className: "spacer" });
const tableBox = element("div", { className: "rows", tabIndex: 0, role: "table", ariaLabel: "Messages" }, tableSpacer);
document.getElementById("table").append(tableHead, tableBox);

function tableCells(index) {
  return [
    showNumber(index + 1), hasTimes ? showTime(time[index]) : "", KINDS[kinds[index]].name, shortName(laneTitle(from[index]), 16),
    to[index] < 0 ? "" : shortName(laneTitle(to[index]), 16), null, pathOf(index), showSize(column.size[index]),
    isUnanswered[index] ? "no reply" : showDuration(latency[index]),
  ];
}

function makeRow() {
  const cells = element("div", { className: "cells" }, ...TABLE_COLUMNS.map((_, place) =>
    element("span", { className: ["number dim", "number dim", "kind", "", "", "", "dim", "number dim", "number"][place], role: "cell" })));
  cells.children[MEMBER_CELL].append(element("span"), " ", element("i"));
  const row = element("div", { role: "row" }, cells);
  row.addEventListener("click", () => choose(Number(row.dataset.message)));
  tableBox.append(row);
  return row;
}

function fillRow(row, place) {
  const index = shown[place];
  const chosen = index === state.chosen ? " chosen" : "";
  row.className = `row is-${KINDS[kinds[index]].name}${chosen}`;
  row.style.top = `${place * TABLE_ROW}px`;
  row.dataset.message = index;
  row.setAttribute("aria-rowindex", place + 1);
  const cells = row.firstChild.children;
  tableCells(index).forEach((text, cell) => { if (text !== null) cells[cell].textContent = text; });
  const [name, of] = cells[MEMBER_CELL].children;
  name.textContent = strings[column.error[index]] || memberOf(index);
  of.textContent = strings[column.error[index]] ? memberOf(index) : interfaceOf(index);
  row.hidden = false;
}

function sizeTable() {
  tableSpacer.style.height = `${shown.length * TABLE_ROW}px`;
  tableBox.setAttribute("aria-rowcount", shown.length);
}

function drawTable() {
  if (state.view !== "table") return;
  sizeTable();
  const first = Math.max(0, Math.floor(tableBox.scrollTop / TABLE_ROW) - 4);
  const last = Math.min(shown.length, Math.ceil((tableBox.scrollTop + tableBox.clientHeight) / TABLE_ROW) + 4);
  while (table.rows.length < last - first) table.rows.push(makeRow());
  table.rows.forEach((row, place) => {
    if (first + place < last) fillRow(row, first + place);
    else row.hidden = true;
  });
  tableHead.scrollLeft = tableBox.scrollLeft;
}

function showInTable(place) {
  const top = place * TABLE_ROW;
  if (top < tableBox.scrollTop) tableBox.scrollTop = top - TABLE_ROW;
  else if (top + TABLE_ROW > tableBox.scrollTop + tableBox.clientHeight) tableBox.scrollTop = top + 2 * TABLE_ROW - tableBox.clientHeight;
}

tableBox.addEventListener("scroll", () => soon(drawTable), { passive: true });
new ResizeObserver(() => soon(drawTable)).observe(tableBox);
