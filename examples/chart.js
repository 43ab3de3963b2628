/* Lines over time, with axes and a crosshair: what the dashboard and the
   ticker draw with.

     const chart = new Chart(svg, { names, format, zero, least });
     chart.add(seconds, values)    a value for each of the names' lines
     chart.onread = (values, ago)  what stands at the crosshair, or at the end
     chart.cursor = 12             12 s ago; null: nowhere

   `format(value, top)` writes a value of an axis up to `top`; what is read is
   written for itself, with both the same. The axis begins at 0 with `zero`, and
   is `least` long at least. The svg can be focused, and is asked for values
   with the arrow keys. */
const NAMESPACE = "http://www.w3.org/2000/svg";
const CLASSES = ["first", "second", "third"];
const SPANS = [10, 20, 30, 40, 60];   // seconds from edge to edge
const LEFT = 52, RIGHT = 10, TOP = 8, BOTTOM = 20;   // pixels round the plot

function make(tag, attributes, text = "") {
  const element = document.createElementNS(NAMESPACE, tag);
  for (const name in attributes) element.setAttribute(name, attributes[name]);
  element.textContent = text;
  return element;
}

/* Two to four steps of 1, 2 or 5 times a power of ten around low and high. */
export function ticksOf(low, high) {
  const rough = (high - low) / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((n) => n * power >= rough * 0.99);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  return Array.from({ length: last - first + 1 },
    (_, i) => (first + i) * step);
}

export class Chart {
  points = [];   // { at, values }, the oldest first
  longest;       // seconds that are kept
  onread = () => {};
  #svg; #options; #cursor = null; #drawing = false;

  constructor(svg, options) {
    this.#svg = svg;
    this.#options = { names: [""], zero: true, least: 1, longest: 60,
      ...options };
    this.longest = this.#options.longest;
    new ResizeObserver(() => this.draw()).observe(svg);
    svg.addEventListener("pointermove", (event) => {
      const { left, width } = svg.getBoundingClientRect();
      const part = (event.clientX - left - LEFT) / (width - LEFT - RIGHT);
      this.#move((1 - part) * this.span);
    });
    svg.addEventListener("pointerleave", () => this.#move(null));
    svg.addEventListener("blur", () => this.#move(null));
    svg.addEventListener("keydown", (event) => this.#press(event));
    for (const [name, value] of Object.entries({ tabindex: 0, role: "slider",
      "aria-valuemax": 0 })) svg.setAttribute(name, value);
  }

  add(at, values) {
    this.points.push({ at, values });
    while (this.points[0].at < at - this.longest - 1) this.points.shift();
    this.draw();
  }

  get end() { return this.points.at(-1)?.at ?? 0; }

  /* The shortest that holds what there is: the first minute is a whole one. */
  get span() {
    const age = this.end - (this.points[0]?.at ?? 0);
    return SPANS.find((span) => span >= Math.min(age, this.longest) - 0.5);
  }

  get cursor() { return this.#cursor; }
  set cursor(ago) {
    this.#cursor = ago;
    this.draw();
  }

  /* Tells others of the same page too: they may follow. */
  #move(ago) {
    if (ago !== null) ago = Math.max(0, Math.min(ago, this.span));
    if (ago === this.#cursor) return;
    this.cursor = ago;
    this.#svg.dispatchEvent(new CustomEvent("cursor",
      { detail: ago, bubbles: true }));
  }

  #press(event) {
    const step = { ArrowLeft: 1, ArrowDown: 1, ArrowRight: -1, ArrowUp: -1,
      PageDown: 10, PageUp: -10, Home: Infinity, End: -Infinity }[event.key];
    if (step) this.#move(Math.round(this.#cursor ?? 0) + step);
    else if (event.key === "Escape") this.#move(null);
    if (step || event.key === "Escape") event.preventDefault();
  }

  /* Once a frame, however much comes. */
  draw() {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      this.#draw();
    });
  }

  #draw() {
    const { names, format, zero, least } = this.#options, end = this.end;
    const span = this.span, width = this.#svg.clientWidth - LEFT - RIGHT;
    const height = this.#svg.clientHeight - TOP - BOTTOM;
    const seen = this.points.filter(({ at }) => at >= end - span);
    const all = seen.flatMap(({ values }) => values);
    let low = zero ? 0 : Math.min(...all), high = Math.max(0, ...all);
    if (!isFinite(low)) return;   // nothing to make a scale of
    if (high - low < least) {
      if (!zero) low = (low + high - least) / 2;
      high = low + least;
    }
    const ticks = ticksOf(low, high), top = ticks.at(-1);
    const x = (at) => LEFT + (1 - (end - at) / span) * width;
    const y = (value) => TOP + height * (top - value) / (top - ticks[0]);
    const parts = ticks.flatMap((tick) => [
      make("line", { class: tick === 0 ? "zero" : "grid", x1: LEFT,
        x2: LEFT + width, y1: y(tick), y2: y(tick) }),
      make("text", { x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end" },
        tick === 0 ? "0" : format(tick, top))]);
    names.forEach((_, n) => parts.push(...this.#lines(seen, n, x, y)));
    const point = this.#nearest(end - (this.#cursor ?? 0));
    const ago = point ? end - point.at : 0;
    if (this.#cursor === null || !point) {
      parts.push(...this.#times([span, span / 2, 0], width, height));
    } else {
      parts.push(make("line", { class: "cross", x1: x(point.at),
        x2: x(point.at), y1: TOP, y2: TOP + height }),
      ...point.values.map((value, n) => make("circle", { class: CLASSES[n],
        cx: x(point.at), cy: y(value), r: 4.5 })),
      ...this.#times([ago], width, height));
    }
    this.#svg.replaceChildren(...parts);
    if (!point) return;
    const values = point.values.map((value) => format(value, value));
    this.onread(values, ago);
    this.#tell(values, ago);
  }

  /* Not each time something comes: who listens would hear nothing else. */
  #tell(values, ago) {
    if (this.#cursor === null && document.activeElement === this.#svg) return;
    const text = values.map((value, n) => `${this.#options.names[n]} ${value}`);
    for (const [name, value] of Object.entries({ valuemin: -this.span,
      valuenow: -Math.round(ago),
      valuetext: `${whenIs(ago)}: ${text.join(", ")}` })) {
      this.#svg.setAttribute(`aria-${name}`, value);
    }
  }

  #nearest(at) {
    const far = (point) => Math.abs(point.at - at);
    return this.points.toSorted((a, b) => far(a) - far(b))[0];
  }

  /* A line has a gap where for two seconds nothing came. */
  #lines(seen, n, x, y) {
    const runs = [];
    seen.forEach(({ at, values }, i) => {
      if (i === 0 || at - seen[i - 1].at > 2) runs.push([]);
      runs.at(-1).push(`${x(at).toFixed(1)},${y(values[n]).toFixed(1)}`);
    });
    return runs.map((run) => make("polyline", { class: CLASSES[n],
      points: (run.length > 1 ? run : [run[0], run[0]]).join(" ") }));
  }

  #times(list, width, height) {
    return list.map((ago) => {
      const at = LEFT + (1 - ago / this.span) * width;
      const anchor = at < LEFT + 24 ? "start"
        : at > LEFT + width - 24 ? "end" : "middle";
      return make("text", { x: at, y: TOP + height + 15,
        "text-anchor": anchor }, whenIs(ago));
    });
  }
}

export function whenIs(ago) {
  return ago < 0.5 ? "now" : `${Math.round(ago)} s ago`;
}
