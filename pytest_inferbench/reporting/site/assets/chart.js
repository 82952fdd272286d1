"use strict";
/* A trend: one metric, run after run, with what is known beside it. Drawn anew when its width changes. */
inferbench.trend = (() => {
  const { h, svg, number, inUnit, shownUnit, quantity, percent, minute, day, shortCommit, branchOf, commit, compareLink, verdictPill } = inferbench;
  const HEIGHT = 250;
  const MARGIN = { top: 36, right: 46, bottom: 30, left: 56 };
  const LABEL = 14;
  const MARKS = { p50: "circle", p90: "square", p95: "square", p99: "diamond", mean: "circle", max: "diamond", "": "circle" };

  function niceSteps(low, high, about) {
    const rough = (high - low) / about;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= rough);
    const steps = [];
    for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-9; at += step) steps.push(Math.abs(at) < step * 1e-9 ? 0 : at);
    return steps;
  }

  /** As many decimals as tell the steps of an axis apart. */
  function decimals(steps) {
    for (let digits = 0; digits < 8; digits += 1) if (steps.every((step) => Math.abs(Number(step.toFixed(digits)) - step) < 1e-9 + Math.abs(step) * 1e-6)) return digits;
    return 8;
  }

  function range(lines) {
    const values = lines.flatMap((line) => line.values).filter((value) => value !== null);
    let low = Math.min(...values);
    let high = Math.max(...values);
    const air = (high - low) * 0.1 || Math.abs(high) * 0.05 || 1;
    return [low >= 0 ? Math.max(0, low - air) : low - air, high + air];
  }

  function shape(kind, x, y, size, attributes) {
    if (kind === "cross") return svg("path", { d: `M${x - 4} ${y - 4}l8 8m0 -8l-8 8`, ...attributes });
    if (kind === "square") return svg("rect", { x: x - size, y: y - size, width: 2 * size, height: 2 * size, ...attributes });
    if (kind === "diamond") return svg("path", { d: `M${x} ${y - size * 1.4}L${x + size * 1.4} ${y}L${x} ${y + size * 1.4}L${x - size * 1.4} ${y}Z`, ...attributes });
    return svg("circle", { cx: x, cy: y, r: size, ...attributes });
  }

  /** Positions on the x axis: evenly, or by time. */
  function placing(trend, width) {
    const count = trend.runs.length;
    const inner = width - MARGIN.left - MARGIN.right;
    if (count === 1) return () => MARGIN.left + inner / 2;
    if (!trend.byTime) return (row) => MARGIN.left + (inner * row) / (count - 1);
    const times = trend.runs.map((run) => Date.parse(run.at));
    const span = Math.max(1, times[count - 1] - times[0]);
    return (row) => MARGIN.left + (inner * (times[row] - times[0])) / span;
  }

  function draw(trend, box, width) {
    const [low, high] = range(trend.lines.filter((line) => line.on));
    const x = placing(trend, width);
    const labels = changeLabels(trend, x, width);
    const top = MARGIN.top + LABEL * Math.max(0, ...labels.map((each) => each.row + 1));
    const y = (value) => HEIGHT - MARGIN.bottom - ((HEIGHT - MARGIN.bottom - top) * (value - low)) / (high - low);
    const place = { x, y, width, low, high, top, labels };
    const label = `${trend.title} in ${trend.runs.length} runs. ${newest(trend)}. Arrow keys read it run by run, Enter keeps the reading.`;
    const image = svg("svg", { class: "trend", viewBox: `0 0 ${width} ${HEIGHT}`, height: HEIGHT, role: "img", tabindex: 0, "aria-label": label });
    image.append(...grid(trend, place), ...bands(trend, place), ...marks(trend, place), ...lines(trend, place));
    if (trend.simulated) image.append(svg("text", { class: "watermark", x: MARGIN.left + 10, y: HEIGHT - MARGIN.bottom - 10 }, "simulated, not measured"));
    const cursor = svg("line", { class: "cursor", y1: top, y2: HEIGHT - MARGIN.bottom, visibility: "hidden" });
    image.append(cursor);
    box.replaceChildren(image, trend.card);
    listen(trend, image, cursor, place);
  }

  function newest(trend) {
    return trend.lines.filter((line) => line.on)
      .map((line) => `Newest ${line.statistic} ${quantity(line.values.findLast((value) => value !== null), trend.figure)}`.replace("  ", " ")).join(", ");
  }

  function grid(trend, { x, y, width, low, high }) {
    const steps = niceSteps(inUnit(low, trend.figure), inUnit(high, trend.figure), 4);
    const digits = decimals(steps);
    const drawn = steps.map((step) => {
      const at = y(trend.figure.unit === "1" ? step / 100 : step);
      return svg("g", {}, svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: at, y2: at }),
        svg("text", { class: "tick", x: MARGIN.left - 8, y: at + 4, "text-anchor": "end" }, step.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })));
    });
    const room = Math.max(1, Math.floor((width - MARGIN.left - MARGIN.right) / 95));
    let free = -Infinity;
    const rows = trend.runs.length;
    const every = Math.max(1, Math.ceil(rows / room));
    for (let row = (rows - 1) % every; row < rows; row += every) {
      if (x(row) < free) continue;
      free = x(row) + 80;
      const anchor = row === rows - 1 && rows > 1 ? "end" : row === 0 && rows > 1 ? "start" : "middle";
      const shift = anchor === "end" ? 22 : anchor === "start" ? -22 : 0;
      drawn.push(svg("line", { class: "axis", x1: x(row), x2: x(row), y1: HEIGHT - MARGIN.bottom, y2: HEIGHT - MARGIN.bottom + 4 }),
        svg("text", { class: "tick", x: x(row) + shift, y: HEIGHT - MARGIN.bottom + 17, "text-anchor": anchor }, day(trend.runs[row])));
    }
    drawn.push(svg("line", { class: "axis", x1: MARGIN.left, x2: width - MARGIN.right, y1: HEIGHT - MARGIN.bottom, y2: HEIGHT - MARGIN.bottom }));
    return drawn;
  }

  const wordsOf = (line, change) => `${line.statistic} ${change.size === null || line.ratio ? "" : percent(change.size)} ${change.worse ? "worse" : "better"}`.trim();

  /** What is said of each change, above the plot, in as many rows as they need. */
  function changeLabels(trend, x, width) {
    const placed = [];
    for (const line of trend.lines.filter((each) => each.on)) {
      for (const change of line.changes) {
        const text = wordsOf(line, change);
        const length = text.length * 6.3 + 10;
        const at = Math.max(MARGIN.left, Math.min(width - length, (x(change.from) + x(change.to)) / 2 - length / 2));
        let row = 0;
        while (placed.some((other) => other.row === row && at < other.at + other.length && other.at < at + length)) row += 1;
        placed.push({ text, at, length, row, word: change.worse ? "worse" : "better" });
      }
    }
    return placed;
  }

  /** Change points: where between two runs, how large, and the levels on both sides. */
  function bands(trend, { x, y, top, labels }) {
    const drawn = [];
    for (const line of trend.lines.filter((each) => each.on)) {
      for (const change of line.changes) {
        const [from, to] = [x(change.from), x(change.to)];
        const wide = Math.max(3, to - from);
        drawn.push(svg("rect", { class: `band ${change.worse ? "worse" : "better"}`, x: (from + to - wide) / 2, width: wide, y: top, height: HEIGHT - MARGIN.bottom - top }),
          svg("line", { class: "level", x1: x(change.level_from), x2: from, y1: y(change.before), y2: y(change.before) }),
          svg("line", { class: "level", x1: to, x2: x(change.level_to), y1: y(change.after), y2: y(change.after) }));
      }
    }
    for (const { text, at, row, word } of labels) drawn.push(svg("text", { class: `band-text ${word}`, x: at + 5, y: MARGIN.top + 9 + LABEL * row }, text));
    return drawn;
  }

  function marks(trend, { x, width }) {
    const drawn = [];
    for (const [kind, top, each] of [["release", 12, trend.releases], ["engine", 27, trend.engines]]) {
      let free = -Infinity;
      for (const mark of each) {
        const at = x(mark.row);
        drawn.push(svg("line", { class: `mark ${kind}`, x1: at, x2: at, y1: top + 3, y2: HEIGHT - MARGIN.bottom }));
        const text = kind === "engine" ? `engine ${mark.text}` : mark.text;
        const shown = text.length > 22 ? `${text.slice(0, 21)}…` : text;
        const length = shown.length * 6.1 + 8;
        const start = Math.min(at - 2, width - length);
        if (start < free) continue;
        free = start + length;
        drawn.push(svg("text", { class: `mark-text ${kind}`, x: start, y: top }, shown));
      }
    }
    return drawn;
  }

  function lines(trend, { x, y, width }) {
    const drawn = [];
    const on = trend.lines.filter((line) => line.on);
    const ends = [];
    for (const line of on) {
      const kind = `line-${line.statistic || "one"}`;
      let path = "";
      trend.runs.forEach((run, row) => {
        if (line.values[row] !== null && trend.joined[row]) path += `${path ? "L" : "M"}${x(row).toFixed(1)} ${y(line.values[row]).toFixed(1)}`;
      });
      drawn.push(svg("path", { class: `line ${kind} ${trend.simulated ? "simulated" : ""}`, d: path || "M0 0" }));
      const few = trend.runs.length <= 400;
      trend.runs.forEach((run, row) => {
        const odd = !trend.joined[row] || trend.verdicts[row] !== "pass";
        if (line.values[row] === null || !(few || odd)) return;
        const how = !trend.joined[row] ? "apart" : trend.verdicts[row] === "fail" ? "failed" : "";
        drawn.push(shape(how === "failed" ? "cross" : MARKS[line.statistic], x(row), y(line.values[row]), trend.runs.length > 120 ? 1.8 : 2.6, { class: `point ${kind} ${how}` }));
      });
      const last = line.values.findLastIndex((value, row) => value !== null && trend.joined[row]);
      if (last >= 0 && line.statistic) ends.push([y(line.values[last]), line.statistic, kind]);
    }
    ends.sort((one, other) => one[0] - other[0]);
    let free = -Infinity;
    for (const [at, text, kind] of ends) {
      const placed = Math.max(at, free);
      free = placed + 13;
      drawn.push(svg("text", { class: `end ${kind}`, x: width - MARGIN.right + 8, y: placed + 4 }, text));
    }
    return drawn;
  }

  function listen(trend, image, cursor, { x, width }) {
    const rows = trend.runs.length;
    const move = (row) => {
      if (trend.pinned) return;
      trend.row = Math.max(0, Math.min(rows - 1, row));
      cursor.setAttribute("x1", x(trend.row));
      cursor.setAttribute("x2", x(trend.row));
      cursor.setAttribute("visibility", "visible");
      fill(trend, x(trend.row), width);
    };
    const leave = () => {
      if (trend.pinned) return;
      cursor.setAttribute("visibility", "hidden");
      trend.card.hidden = true;
    };
    const pin = (on) => {
      trend.pinned = on;
      trend.card.classList.toggle("pinned", on);
      if (!on) leave();
    };
    image.addEventListener("pointermove", (event) => {
      const at = ((event.clientX - image.getBoundingClientRect().left) * width) / image.getBoundingClientRect().width;
      let nearest = 0;
      for (let row = 1; row < rows; row += 1) if (Math.abs(x(row) - at) <= Math.abs(x(nearest) - at)) nearest = row;
      move(nearest);
    });
    image.addEventListener("pointerleave", leave);
    image.addEventListener("click", () => pin(!trend.pinned));
    image.addEventListener("focus", () => image.matches(":focus-visible") && move(trend.row ?? rows - 1));
    image.addEventListener("blur", leave);
    image.addEventListener("keydown", (event) => {
      const now = trend.row ?? rows;
      const to = { ArrowLeft: now - 1, ArrowRight: now + 1, PageUp: now - 10, PageDown: now + 10, Home: 0, End: rows - 1 }[event.key];
      if (to !== undefined) { pin(false); move(to); inferbench.say(reading(trend)); }
      else if (event.key === "Enter" || event.key === " ") { if (trend.row === undefined) move(rows - 1); pin(!trend.pinned); }
      else if (event.key === "Escape") pin(false);
      else return;
      event.preventDefault();
    });
  }

  function reading(trend) {
    const run = trend.runs[trend.row];
    const values = trend.lines.filter((line) => line.on).map((line) => `${line.statistic} ${quantity(line.values[trend.row], trend.figure)}`.trim());
    return `${values.join(", ")}; ${trend.verdicts[trend.row]}; run of ${minute(run)}, commit ${run.commit ? shortCommit(run.commit) : "unknown"}`;
  }

  /** The card beside the cursor: values, run, commit. */
  function fill(trend, at, width) {
    const run = trend.runs[trend.row];
    const rows = trend.lines.filter((line) => line.on).map((line) =>
      h("tr", {}, h("th", { scope: "row", class: `key line-${line.statistic || "one"}` }, line.statistic || trend.title), h("td", {}, quantity(line.values[trend.row], trend.figure))));
    const facts = [`${minute(run)} UTC`, branchOf(run), trend.engine(trend.row)].filter(Boolean).join(" · ");
    const before = trend.row > 0 ? trend.numbers[trend.row - 1] : null;
    trend.card.replaceChildren(
      h("table", {}, h("tbody", {}, rows)),
      h("p", {}, verdictPill(trend.verdicts[trend.row]), " ", commit(run), run.release ? ` · ${run.release}` : ""),
      h("p", { class: "muted" }, facts), h("p", { class: "muted" }, `run ${run.id}`),
      trend.joined[trend.row] ? "" : h("p", { class: "muted" }, trend.verdicts[trend.row] === "invalid" ? "not to be believed" : "another branch: not searched for changes"),
      before === null ? "" : h("p", { class: "go" }, compareLink(before, trend.numbers[trend.row], "compare with the run before")));
    trend.card.hidden = false;
    const right = at > width / 2;
    trend.card.classList.toggle("left", right);
    trend.card.style.left = right ? "auto" : `${((at + 12) / width) * 100}%`;
    trend.card.style.right = right ? `${((width - at + 12) / width) * 100}%` : "auto";
  }

  /** A box with the chart of a trend, that follows its width. */
  return function box(trend) {
    trend.card = h("div", { class: "card", hidden: true });
    const made = h("div", { class: "trend-box" });
    let drawn = 0;
    new ResizeObserver(([entry]) => {
      const width = Math.round(entry.contentRect.width);
      if (width > 0 && width !== drawn) draw(trend, made, (drawn = width));
    }).observe(made);
    return made;
  };
})();
