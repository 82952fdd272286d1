// Draws one chart as SVG: hover, zoom, series to switch off, a table behind it, all by keyboard too.
// Rule: words reach the page as text nodes and attributes alone, never as markup.
(() => {
  "use strict";
  const NS = "http://www.w3.org/2000/svg";
  const LEFT = 60, RIGHT = 16, TOP = 14, BOTTOM = 42;
  const TABLE_ROWS_MAX = 2000;
  const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
  const SHORT = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 4 });

  const html = (tag, attributes = {}, ...children) => build(document.createElement(tag), attributes, children);
  const svg = (tag, attributes = {}, ...children) => build(document.createElementNS(NS, tag), attributes, children);
  const build = (node, attributes, children) => {
    for (const [name, value] of Object.entries(attributes)) {
      if (value === undefined || value === null || value === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.filter((each) => each !== null && each !== undefined));
    return node;
  };

  const number = (value) => {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    return (Math.abs(value) >= 1000 ? WHOLE : SHORT).format(value);
  };
  const label = (axis, simulated) => `${axis.title}${axis.unit ? ` (${axis.unit})` : ""}${simulated ? ", SIMULATED" : ""}`;
  const quantity = (value, axis) => `${number(value)}${axis.unit ? ` ${axis.unit}` : ""}`;

  const scale = (low, high, start, end, log) => {
    const [from, to] = log ? [Math.log10(low), Math.log10(high)] : [low, high];
    const at = (value) => start + (((log ? Math.log10(Math.max(value, 1e-12)) : value) - from) / (to - from)) * (end - start);
    const back = (pixel) => {
      const value = from + ((pixel - start) / (end - start)) * (to - from);
      return log ? 10 ** value : value;
    };
    return { low, high, at, back };
  };

  // Steps of 1, 2 or 5 times a power of ten; on a logarithmic axis those values themselves.
  const ticks = (low, high, log, wanted) => {
    if (log && high / low >= 4) {
      const factors = high / low < 100 ? [1, 2, 5] : [1];
      const found = [];
      for (let ten = Math.floor(Math.log10(low)); ten <= Math.ceil(Math.log10(high)); ten += 1) {
        for (const factor of factors) found.push(Number(`${factor}e${ten}`));
      }
      return found.filter((each) => each >= low && each <= high);
    }
    const rough = (high - low) / Math.max(wanted, 2);
    const ten = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((each) => each * ten).find((each) => each >= rough * 0.999);
    const found = [];
    for (let each = Math.ceil(low / step - 1e-9); each * step <= high + step * 1e-9; each += 1) found.push(Number((each * step).toPrecision(12)));
    return found;
  };

  const extent = (values, axis) => {
    const usable = values.filter((each) => Number.isFinite(each) && (!axis.log || each > 0));
    if (!usable.length) return axis.log ? [1, 10] : [0, 1];
    let low = usable.reduce((a, b) => Math.min(a, b)), high = usable.reduce((a, b) => Math.max(a, b));
    if (axis.log) return [low / 1.15, Math.max(high, low * 1.2) * 1.15];
    if (axis.zero) low = Math.min(low, 0);
    if (high - low < 1e-9) high = low + (Math.abs(low) * 0.1 || 1);
    const room = (high - low) * 0.05;
    return [axis.zero && low === 0 ? 0 : low - room, high + room];
  };

  class Chart {
    // options: open(case) when a point is chosen; together: charts that share this one's x axis; height in pixels.
    constructor(place, data, options = {}) {
      this.data = data;
      this.options = options;
      this.off = new Set();
      this.view = {};
      this.at = null;
      (options.together || []).push(this);
      this.frame = this.makeFrame();
      place.append(this.frame);
      this.draw();
      this.resized = new ResizeObserver(() => {
        const width = this.canvas.clientWidth;
        if (width && width !== this.width) this.draw();
      });
      this.resized.observe(this.canvas);
    }

    makeFrame() {
      const { data } = this;
      this.reset = html("button", { type: "button", class: "ib-tool", hidden: true, onclick: () => this.zoom(null, null) }, "Reset zoom");
      this.values = html("div", { class: "ib-values", hidden: true });
      const table = html("button", { type: "button", class: "ib-tool", "aria-expanded": "false" }, "Table");
      table.addEventListener("click", () => this.toggleTable(table));
      const badge = data.simulated ? html("span", { class: "ib-pill ib-simulated" }, "SIMULATED") : null;
      this.canvas = html("div", {
        class: "ib-canvas", tabindex: "0", role: "application",
        "aria-label": `Chart: ${data.title}${data.simulated ? ", SIMULATED" : ""}. ${label(data.y)} over ${label(data.x)}. `
          + "Arrow keys go from point to point, plus and minus zoom, 0 shows all, the table button gives the values.",
      });
      this.tip = html("div", { class: "ib-tip", hidden: true });
      this.said = html("div", { class: "ib-said", "aria-live": "polite" });
      this.legend = html("div", { class: "ib-legend", role: "group", "aria-label": "Series" });
      this.listen();
      return html("figure", { class: `ib-chart${data.flat ? " ib-flat" : ""}` },
        html("div", { class: "ib-chart-head" }, html("figcaption", {}, data.title, badge ? " " : null, badge), html("div", { class: "ib-tools" }, this.reset, table)),
        this.canvas, this.legend, this.said,
        data.note ? html("p", { class: "ib-note" }, data.note) : null, this.values);
    }

    get series() {
      return (this.data.series || []).filter((each) => each.x && each.x.length);
    }

    get shown() {
      return this.series.filter((each) => !this.off.has(each.name));
    }

    xValues() {
      const marks = (this.data.limits || []).filter((each) => each.axis === "x").map((each) => each.value);
      return this.shown.flatMap((each) => [...each.x, ...(each.to || [])]).concat(marks);
    }

    yValues() {
      const marks = (this.data.limits || []).filter((each) => each.axis === "y").map((each) => each.value);
      const spans = this.series.some((each) => each.style === "spans");
      return this.shown.flatMap((each) => each.y).concat(marks, spans ? [0.4, Math.max(...this.series.flatMap((each) => each.y)) + 0.6] : []);
    }

    draw() {
      const { data, canvas } = this;
      const width = (this.width = canvas.clientWidth || 480);
      const height = (this.height = data.flat ? 118 : this.options.height || 300);
      const all = this.options.together || [this];
      const spans = this.series.some((each) => each.style === "spans");
      const xs = this.view.x || extent(all.flatMap((each) => each.xValues()), data.x);
      const ys = this.view.y || extent(this.yValues(), spans ? { ...data.y, zero: false } : data.y);
      // Of charts that share an axis the last one names it.
      this.named_x = all[all.length - 1] === this;
      this.bottom = height - (this.named_x ? BOTTOM : BOTTOM - 18);
      this.x = scale(xs[0], xs[1], LEFT, width - RIGHT, data.x.log);
      // Who was sent first stands on top.
      this.y = spans ? scale(ys[0], ys[1], TOP, this.bottom, false) : scale(ys[0], ys[1], this.bottom, TOP, data.y.log);
      const clip = `ib-clip-${(Chart.count = (Chart.count || 0) + 1)}`;
      const drawing = svg("svg", { class: "ib-svg", viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" },
        svg("defs", {}, svg("clipPath", { id: clip }, svg("rect", { x: LEFT, y: TOP - 4, width: Math.max(width - LEFT - RIGHT, 1), height: Math.max(this.bottom - TOP + 8, 1) }))),
        ...this.axes(), svg("g", { "clip-path": `url(#${clip})` }, ...this.limitLines(), ...this.shown.map((each) => this.mark(each)), (this.cursor = svg("g"))),
        ...this.limitWords());
      if (!this.shown.length) drawing.append(svg("text", { class: "ib-nothing", x: width / 2, y: height / 2, "text-anchor": "middle" }, this.series.length ? "every series is switched off" : "no case to draw"));
      canvas.replaceChildren(drawing, this.tip);
      this.tip.hidden = true;
      this.drawLegend();
      this.reset.hidden = !this.view.x && !this.view.y;
    }

    axes() {
      const { data, width, height } = this;
      const { bottom } = this, parts = [];
      let last = -Infinity;
      const own = (axis, view) => (axis.ticks && !view ? axis.ticks : null);
      for (const value of own(data.x, this.view.x) || ticks(this.x.low, this.x.high, data.x.log, (width - LEFT) / 90)) {
        const at = this.x.at(value);
        parts.push(svg("path", { class: "ib-grid", d: `M${at} ${TOP}V${bottom}` }));
        if (at - last < number(value).length * 3.6 + 22) continue;
        last = at;
        parts.push(svg("text", { class: "ib-tick", x: at, y: bottom + 15, "text-anchor": "middle" }, number(value)));
      }
      for (const value of own(data.y, this.view.y) || ticks(this.y.low, this.y.high, data.y.log, (bottom - TOP) / (data.flat ? 26 : 44))) {
        const at = this.y.at(value);
        parts.push(svg("path", { class: "ib-grid", d: `M${LEFT} ${at}H${width - RIGHT}` }),
          svg("text", { class: "ib-tick", x: LEFT - 7, y: at + 4, "text-anchor": "end" }, number(value)));
      }
      const middle = (TOP + bottom) / 2;
      parts.push(svg("path", { class: "ib-axis", d: `M${LEFT} ${TOP}V${bottom}H${width - RIGHT}` }),
        svg("text", { class: "ib-label", transform: `translate(13 ${middle}) rotate(-90)`, "text-anchor": "middle" }, data.flat ? data.y.unit || data.y.title : label(data.y, data.simulated)));
      // A flat chart has no room for it beside its axis.
      if (data.flat && data.simulated) parts.push(svg("text", { class: "ib-tick", x: width - RIGHT, y: TOP - 2, "text-anchor": "end" }, `${label(data.y)}, SIMULATED`));
      if (this.named_x) parts.push(svg("text", { class: "ib-label", x: (LEFT + width - RIGHT) / 2, y: height - 7, "text-anchor": "middle" }, label(data.x, data.simulated)));
      return parts;
    }

    limitLines() {
      return (this.data.limits || []).map((each) => svg("path", {
        class: "ib-limit-line",
        d: each.axis === "x" ? `M${this.x.at(each.value)} ${TOP}V${this.bottom}` : `M${LEFT} ${this.y.at(each.value)}H${this.width - RIGHT}`,
      }));
    }

    limitWords() {
      const taken = [];
      return (this.data.limits || []).map((each) => {
        const at = each.axis === "x" ? this.x.at(each.value) : this.y.at(each.value);
        const inside = each.axis === "x" ? at >= LEFT && at <= this.width - RIGHT : at >= TOP && at <= this.bottom;
        if (!inside) return null;
        let row = TOP + 11;
        if (each.axis === "x") {
          while (taken.some(([x, y]) => Math.abs(x - at) < 260 && y === row)) row += 13;
          taken.push([at, row]);
          const left = at > (LEFT + this.width) / 2;
          return svg("text", { class: "ib-limit", x: at + (left ? -5 : 5), y: row, "text-anchor": left ? "end" : "start" }, each.text);
        }
        return svg("text", { class: "ib-limit", x: LEFT + 6, y: at > TOP + 14 ? at - 5 : at + 13 }, each.text);
      });
    }

    mark(series) {
      const { x, y } = this;
      const px = series.x.map(x.at), py = series.y.map(y.at);
      const group = svg("g", { stroke: series.colour, fill: "none" });
      const dash = series.dash ? "6 4" : null;
      if (series.style === "bars") {
        const floor = this.bottom;
        const d = px.map((left, i) => `M${left} ${floor}V${py[i]}H${Math.max(x.at(series.to[i]) - 1, left + 0.6)}V${floor}Z`).join("");
        group.append(svg("path", { d, fill: series.colour, "fill-opacity": 0.75, stroke: "none" }));
      } else if (series.style === "spans") {
        const thick = Math.max(1.4, Math.min(11, Math.abs(y.at(1) - y.at(2)) * 0.78));
        const d = px.map((left, i) => `M${left} ${py[i]}H${Math.max(x.at(series.to[i]), left + 0.8)}`).join("");
        group.append(svg("path", { d, "stroke-width": thick }));
      } else if (series.style === "crosses") {
        group.append(svg("path", { d: px.map((left, i) => `M${left - 3} ${py[i] - 3}l6 6m0-6l-6 6`).join(""), "stroke-width": 1.6 }));
      } else {
        if (series.style === "steps") {
          const d = px.map((left, i) => (i ? `H${left}V${py[i]}` : `M${left} ${py[i]}`)).join("");
          group.append(svg("path", { d, "stroke-width": 2, "stroke-dasharray": dash }));
        } else if (series.style.includes("line")) {
          group.append(svg("path", { d: `M${px.map((left, i) => `${left} ${py[i]}`).join("L")}`, "stroke-width": 2, "stroke-dasharray": dash, "stroke-linejoin": "round" }));
        }
        if (series.style.includes("points")) {
          // A line of no length with round ends is a dot: any number of them in one element.
          const dots = px.map((left, i) => `M${left} ${py[i]}h0`).join("");
          const many = series.style === "points" && px.length > 60;
          group.append(svg("path", { d: dots, "stroke-width": many ? 4.5 : 8, "stroke-linecap": "round", "stroke-opacity": many ? 0.7 : 1 }));
        }
      }
      return group;
    }

    // Series of one name are switched together and have one entry.
    get named() {
      return [...new Map(this.series.map((each) => [each.name, each])).values()];
    }

    drawLegend() {
      if (this.named.length < 2) return this.legend.replaceChildren();
      if (this.legend.childElementCount) return undefined;
      const entries = this.named.map((each) => {
        const key = html("span", { class: `ib-key${each.dash ? " ib-dashed" : ""}`, "aria-hidden": "true" });
        key.style.setProperty("--ib-key", each.colour);
        const entry = html("button", { type: "button", "aria-pressed": "true", title: `${each.name}: click to hide or show, double-click for this one alone` }, key, each.name);
        entry.addEventListener("click", () => this.toggle([each.name]));
        entry.addEventListener("dblclick", () => this.alone(each.name));
        return entry;
      });
      this.legend.replaceChildren(...entries);
      return undefined;
    }

    toggle(names) {
      names.forEach((name) => (this.off.has(name) ? this.off.delete(name) : this.off.add(name)));
      this.pressed();
    }

    alone(name) {
      const others = this.named.filter((each) => each.name !== name);
      const already = others.every((each) => this.off.has(each.name));
      this.off = new Set(already ? [] : others.map((each) => each.name));
      this.pressed();
    }

    pressed() {
      [...this.legend.children].forEach((entry, place) => entry.setAttribute("aria-pressed", String(!this.off.has(this.named[place].name))));
      this.draw();
    }

    // -- asking ---------------------------------------------------------------------------------------------------------

    listen() {
      const { canvas } = this;
      let from = null, box = null;
      const place = (event) => {
        const area = canvas.getBoundingClientRect();
        return [((event.clientX - area.left) / area.width) * this.width, ((event.clientY - area.top) / area.height) * this.height];
      };
      canvas.addEventListener("pointermove", (event) => {
        const [x, y] = place(event);
        if (from && event.buttons) {
          if (!box && Math.hypot(x - from[0], y - from[1]) < 6) return;
          if (!box) canvas.firstChild.append((box = svg("rect", { class: "ib-selection" })));
          const whole = Boolean(this.options.together);
          const [top, bottom] = whole ? [TOP, this.bottom] : [Math.min(y, from[1]), Math.max(y, from[1])];
          build(box, { x: Math.min(x, from[0]), y: top, width: Math.abs(x - from[0]), height: bottom - top }, []);
          this.hide();
        } else this.show(this.nearest(x, y));
      });
      canvas.addEventListener("pointerdown", (event) => {
        from = event.button === 0 && event.pointerType !== "touch" ? place(event) : null;
      });
      canvas.addEventListener("pointerup", (event) => {
        const to = place(event);
        if (box && from) {
          const across = [from[0], to[0]].sort((a, b) => a - b).map(this.x.back);
          const down = [from[1], to[1]].map(this.y.back).sort((a, b) => a - b);
          this.zoom(across, this.options.together ? null : down);
        } else if (from) this.choose(this.nearest(...to));
        from = box = null;
      });
      canvas.addEventListener("pointerleave", () => {
        if (box) box.remove();
        from = box = null;
        this.hide();
      });
      canvas.addEventListener("dblclick", () => this.zoom(null, null));
      canvas.addEventListener("keydown", (event) => this.key(event));
      canvas.addEventListener("blur", () => this.hide());
    }

    key(event) {
      const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (step && event.shiftKey && this.view.x) this.pan(step);
      else if (step) this.walk(step);
      else if (event.key === "+" || event.key === "=") this.nearer(0.5);
      else if (event.key === "-") this.nearer(2);
      else if (event.key === "0") this.zoom(null, null);
      else if (event.key === "Enter" && this.at) this.choose(this.at);
      else if (event.key === "Escape" && !this.tip.hidden) {
        this.hide();
        event.stopPropagation();
      } else return;
      event.preventDefault();
    }

    walk([series, point]) {
      const shown = this.shown;
      if (!shown.length) return;
      const now = this.at || { series: 0, point: -1 };
      const which = (now.series + series + shown.length) % shown.length;
      const length = shown[which].x.length;
      this.show({ series: which, point: Math.min(Math.max((series ? Math.min(now.point, length - 1) : now.point + point), 0), length - 1) }, true);
    }

    moved(scaled, log, share, shift) {
      const [low, high] = log ? [Math.log10(scaled.low), Math.log10(scaled.high)] : [scaled.low, scaled.high];
      const middle = (low + high) / 2 + shift * (high - low), half = ((high - low) / 2) * share;
      const ends = [middle - half, middle + half];
      return log ? ends.map((each) => 10 ** each) : ends;
    }

    nearer(share) {
      const { data } = this;
      this.zoom(this.moved(this.x, data.x.log, share, 0), this.options.together ? null : this.moved(this.y, data.y.log, share, 0));
    }

    pan([down, right]) {
      const { data } = this;
      this.zoom(this.moved(this.x, data.x.log, 1, right * 0.2), this.view.y ? this.moved(this.y, data.y.log, 1, -down * 0.2) : null);
    }

    zoom(x, y) {
      for (const each of this.options.together || [this]) {
        each.view = { ...(x ? { x } : {}), ...(y ? { y } : {}) };
        each.draw();
      }
    }

    nearest(x, y) {
      let best = null, least = 900;
      this.shown.forEach((series, which) => {
        series.x.forEach((value, point) => {
          let right = this.x.at(value) - x, down = this.y.at(series.y[point]) - y;
          if (series.to) {
            const end = this.x.at(series.to[point]) - x;
            right = right <= 0 && end >= 0 ? 0 : Math.min(Math.abs(right), Math.abs(end));
            if (series.style === "bars") down = down < 0 ? down / 50 : down;
          }
          const far = right * right + down * down;
          if (far < least) [best, least] = [{ series: which, point }, far];
        });
      });
      return best;
    }

    words({ series: which, point }) {
      const series = this.shown[which], { data } = this;
      const lines = [series.name];
      if (series.hover) lines.push(series.hover[point]);
      if (series.style === "spans") {
        lines.push(`${quantity(series.x[point], data.x)} to ${quantity(series.to[point], data.x)}: ${number((series.to[point] - series.x[point]) * 1000)} ms`);
      } else if (series.style === "bars") {
        lines.push(`${data.x.title} ${quantity(series.x[point], data.x)} to ${quantity(series.to[point], data.x)}`, `${data.y.title}: ${quantity(series.y[point], data.y)}`);
      } else lines.push(`${data.x.title}: ${quantity(series.x[point], data.x)}`, `${data.y.title}: ${quantity(series.y[point], data.y)}`);
      if (data.simulated) lines.push("SIMULATED");
      return lines;
    }

    show(found, aloud = false) {
      if (!found) return this.hide();
      this.at = found;
      const series = this.shown[found.series];
      const lines = this.words(found);
      this.tip.replaceChildren(...lines.map((each, place) => html(place ? "div" : "strong", {}, each)));
      this.tip.hidden = false;
      const end = series.to ? (this.x.at(series.x[found.point]) + this.x.at(series.to[found.point])) / 2 : this.x.at(series.x[found.point]);
      const x = Math.min(Math.max(end, LEFT), this.width - RIGHT), y = Math.min(Math.max(this.y.at(series.y[found.point]), TOP), this.bottom);
      this.cursor.replaceChildren(svg("circle", { class: "ib-cursor", cx: x, cy: y, r: 6, stroke: series.colour }));
      const share = this.canvas.clientWidth / this.width || 1;
      const { offsetWidth, offsetHeight } = this.tip;
      const left = x * share + 14 + offsetWidth > this.canvas.clientWidth ? x * share - 14 - offsetWidth : x * share + 14;
      this.tip.style.left = `${Math.max(left, 0)}px`;
      this.tip.style.top = `${Math.min(Math.max(y * share - offsetHeight / 2, 0), Math.max(this.canvas.clientHeight - offsetHeight, 0))}px`;
      this.canvas.classList.toggle("ib-choosable", Boolean(series.cases && this.options.open));
      if (aloud) this.said.textContent = lines.join(", ");
      return undefined;
    }

    hide() {
      this.at = null;
      this.tip.hidden = true;
      if (this.cursor) this.cursor.replaceChildren();
    }

    choose(found) {
      const series = found && this.shown[found.series];
      if (series && series.cases && this.options.open) this.options.open(series.cases[found.point]);
    }

    toggleTable(button) {
      const open = this.values.hidden;
      button.setAttribute("aria-expanded", String(open));
      this.values.hidden = !open;
      if (open) this.values.replaceChildren(this.table());
    }

    table() {
      const { data } = this;
      const ranged = this.series.some((each) => each.to), hovered = this.series.some((each) => each.hover);
      const heads = ["series", ...(hovered ? ["of"] : []), label(data.x, data.simulated), ...(ranged ? ["until"] : []), label(data.y, data.simulated)];
      const rows = [];
      for (const series of this.series) {
        series.x.forEach((value, point) => rows.length < TABLE_ROWS_MAX && rows.push(html("tr", {},
          html("th", { scope: "row" }, series.name), hovered ? html("td", {}, series.hover ? series.hover[point] : "") : null,
          html("td", { class: "ib-figure" }, number(value)), ranged ? html("td", { class: "ib-figure" }, series.to ? number(series.to[point]) : "") : null,
          html("td", { class: "ib-figure" }, number(series.y[point])))));
      }
      return html("table", { class: "ib-table", "aria-label": `Values of ${data.title}` },
        html("thead", {}, html("tr", {}, ...heads.map((each) => html("th", { scope: "col" }, each)))), html("tbody", {}, ...rows));
    }

    remove() {
      this.resized.disconnect();
      this.frame.remove();
    }
  }

  window.inferbench = { Chart, html, svg, number };
})();
