// What the drawn views have in common: colours, texts that fit, and a canvas that stays where it is while its content
// scrolls. Only what can be seen is drawn.

let colour = {};

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["ground", "panel", "raised", "line", "grid", "text", "muted", "faint", "accent", "chosen", "hover",
    "call", "reply", "error", "signal", "unknown", "waiting"];
  colour = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  colour.sans = getComputedStyle(document.body).fontFamily;
}

function kindColour(index) {
  return colour[KINDS[kinds[index]].name];
}

function font(size, weight = 400) {
  return `${weight} ${size}px ${colour.sans}`;
}

// Leaves out first parts of a name until it fits.
function fitName(context, name, width) {
  let short = name.slice(-300);
  while (context.measureText(short).width > width && short.includes(".") && !name.startsWith(":")) {
    short = short.slice(short.indexOf(".") + 1);
  }
  return fit(context, short, width);
}

// Cuts a text to a width.
function fit(context, text, width) {
  const shown = text.slice(0, 200);
  if (shown === text && context.measureText(text).width <= width) return text;
  let low = 0, high = shown.length;
  const cut = (size) => `${shown.slice(0, size)}…`;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (context.measureText(cut(middle)).width <= width) low = middle;
    else high = middle - 1;
  }
  return low > 0 ? cut(low) : "";
}

function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("aria") || key === "role") made.setAttribute(key.replace("aria", "aria-").toLowerCase(), value);
    else made[key] = value;
  }
  made.append(...children);
  return made;
}

// Makes a canvas as sharp as the screen, and answers its context.
function prepare(canvas, width, height) {
  const scale = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  context.textBaseline = "middle";
  return context;
}

function roundBox(context, x, y, width, height, radius) {
  context.beginPath();
  context.roundRect(x, y, width, height, radius);
}

// A scrolled canvas in `place`. `draw(context, view)` draws what is at `view.left` and `view.top`.
class Scroller {
  constructor(place, label, draw) {
    this.spacer = element("div", { className: "spacer" });
    this.canvas = element("canvas");
    this.box = element("div", { className: "scroller", tabIndex: 0, role: "img", ariaLabel: label }, this.spacer, this.canvas);
    place.append(this.box);
    this.draw = draw;
    this.redraw = () => this.drawNow();
    this.box.addEventListener("scroll", () => soon(this.redraw), { passive: true });
    new ResizeObserver(() => soon(this.redraw)).observe(this.box);
  }

  setSize(width, height) {
    this.spacer.style.width = `${width}px`;
    this.spacer.style.height = `${height}px`;
  }

  get view() {
    const { clientWidth: width, clientHeight: height, scrollLeft: left, scrollTop: top } = this.box;
    return { width, height, left, top };
  }

  drawNow() {
    const view = this.view;
    if (view.width === 0 || view.height === 0) return;
    this.draw(prepare(this.canvas, view.width, view.height), view);
  }

  // Where the pointer is, from the corner of what can be seen.
  point(event) {
    const bounds = this.box.getBoundingClientRect();
    return { x: event.clientX - bounds.left, y: event.clientY - bounds.top };
  }

  // Scrolls sideways so that what is between the two can be seen, or its beginning.
  showAcross(left, right, margin) {
    const view = this.view;
    if (left >= view.left && right <= view.left + view.width - margin) return;
    this.box.scrollLeft = Math.max(0, (left + right) / 2 - (view.width - margin) / 2);
  }

  // Scrolls so that what is at `y` can be seen, below a head of that height.
  show(y, height, head) {
    const view = this.view;
    if (y < view.top) this.box.scrollTop = y - height;
    else if (y + height > view.top + view.height - head) this.box.scrollTop = y + 2 * height - view.height + head;
  }
}
