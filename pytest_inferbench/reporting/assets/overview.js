// The charts across cases, drawn from one table of cases; what is drawn follows the filters.
(() => {
  "use strict";
  const { Chart, html, number } = window.inferbench;
  const PALETTE = ["#2f7fd6", "#d9700a", "#0e9a78", "#9a62d8", "#d94a4a", "#8a8a00", "#d0559b", "#7d8590"];
  const SHADES = { p50: PALETTE[0], p90: PALETTE[2], p99: PALETTE[1] };
  const LATENCIES = { ttft: "TTFT", tpot: "TPOT", itl: "ITL", e2e: "E2E" };
  const LEVELS = { concurrency: ["users at once", ""], rate: ["requests asked for", "req/s"], speed: ["times as fast as the trace", ""] };
  const FIGURES = {
    ttft_p50: "TTFT p50 (ms)", ttft_p99: "TTFT p99 (ms)", tpot_p50: "TPOT p50 (ms)", tpot_p99: "TPOT p99 (ms)", e2e_p50: "E2E p50 (ms)", e2e_p99: "E2E p99 (ms)",
    output_throughput: "output throughput (tok/s)", per_gpu: "output per GPU (tok/s)", user_speed: "speed per user (tok/s)", request_throughput: "requests (req/s)", goodput: "goodput (req/s)", error_rate: "error rate",
  };
  const BIGGER = new Set(["output_throughput", "per_gpu", "user_speed", "request_throughput", "goodput"]);
  const MARKS = { pass: "✓", fail: "✗", inconclusive: "?", invalid: "!" };
  const THREE = "p50, p90, p99";
  const FEW_GROUPS = 3;
  const COLOURS_MAX = 8;
  const ROWS_MAX = 24;

  class Overview {
    // run: the table of cases; state: choices kept in the address; open(case): shows one.
    constructor(place, run, state, open) {
      Object.assign(this, { place, run, state, open });
      this.charts = [];
      this.present = (name) => run.cases.some((each) => name in each.figures);
      this.seen = new IntersectionObserver((all) => all.filter((each) => each.isIntersecting).forEach((each) => this.fill(each.target)), { rootMargin: "300px" });
    }

    draw(visible) {
      const { place, run } = this;
      this.visible = visible;
      this.charts.forEach((each) => each.remove());
      this.charts = [];
      const shared = (name) => (a, b) => this.axis(a, name).localeCompare(this.axis(b, name), "en", { numeric: true });
      this.groups = run.groups.map((group) => ({ ...group, cases: group.cases.filter((each) => visible.has(each)) })).filter((group) => group.cases.length);
      const metrics = Object.keys(LATENCIES).filter((name) => this.present(`${name}_p50`));
      if (!metrics.length) return;
      this.groups = apartNames(this.groups);
      const by = this.choice("colour", this.shades());
      if (by && by !== "group") this.groups.sort(shared(by));
      const title = html("h3", {}, "Across the cases");
      const controls = html("div", { class: "ib-controls" },
        this.select("latency", "metric", metrics.map((each) => [each, LATENCIES[each]])),
        this.select("percentile", "statistic", ["", "p50", "p90", "p99"].map((each) => [each, each || THREE])),
        this.groups.length > 1 ? this.select("colour by", "colour", this.shades().map((each) => [each, each])) : null);
      const panels = [this.slot(() => this.against("output_throughput")), ...this.levels().map((kind) => this.slot(() => this.against(kind))), this.slot(() => this.pareto())];
      const grid = html("div", { class: "ib-charts ib-across" }, ...panels);
      place.replaceChildren(title, controls, grid, this.heatMap(), ...this.alone());
      this.place.querySelectorAll(".ib-lazy").forEach((each) => this.seen.observe(each));
    }

    slot(make) {
      const found = html("div", { class: "ib-lazy" });
      found.make = make;
      return found;
    }

    fill(slot) {
      if (!slot.make) return;
      const data = slot.make();
      slot.make = null;
      this.seen.unobserve(slot);
      this.charts.push(new Chart(slot, data, { open: this.open, height: 330 }));
    }

    drawAll() {
      this.place.querySelectorAll(".ib-lazy").forEach((each) => this.fill(each));
    }

    select(words, name, choices) {
      const chosen = this.choice(name, choices.map(([value]) => value));
      const options = choices.map(([value, text]) => html("option", { value, selected: value === chosen }, text));
      const box = html("select", { "data-choice": name, onchange: () => this.chose(name, box.value) }, ...options);
      return html("label", {}, `${words} `, box);
    }

    chose(name, value) {
      this.state.set(name, value);
      this.draw(this.visible);
      const again = this.place.querySelector(`select[data-choice="${name}"]`);
      if (again) again.focus();
    }

    choice(name, possible) {
      const wanted = this.state.get(name);
      if (wanted !== null && possible.includes(wanted)) return wanted;
      if (name === "statistic") return this.groups.length > FEW_GROUPS ? "p99" : "";
      return possible[0];
    }

    get metric() {
      return this.choice("metric", Object.keys(LATENCIES).filter((name) => this.present(`${name}_p50`)));
    }

    get statistics() {
      const found = this.choice("statistic", ["", "p50", "p90", "p99"]);
      return found ? [found] : ["p50", "p90", "p99"];
    }

    levels() {
      const kinds = Object.keys(LEVELS).filter((kind) => this.groups.some((group) => group.axis === kind && group.cases.length > 1));
      return kinds.length ? kinds : [];
    }

    // What may tell lines apart: each group, or the value of an axis that all cases of a group share.
    shades() {
      const axes = [...new Set(this.run.cases.flatMap((each) => Object.keys(each.axes)))].filter((axis) => !["verdict", "load"].includes(axis));
      const sized = axes.map((axis) => [axis, new Set(this.groups.map((group) => this.axis(group, axis))).size]).filter(([, size]) => size > 1);
      const long = (axis) => ["arguments", "image"].includes(axis);
      const fit = sized.filter(([axis, size]) => size <= COLOURS_MAX && !long(axis)).sort((a, b) => b[1] - a[1]).map(([axis]) => axis);
      const rest = sized.map(([axis]) => axis).filter((axis) => !fit.includes(axis));
      return this.groups.length > COLOURS_MAX ? [...fit, ...rest, "group"] : ["group", ...fit, ...rest];
    }

    axis(group, axis) {
      return this.run.cases[group.cases[0]].axes[axis] ?? "–";
    }

    // The name and the colour of a group's line.
    look(group) {
      const by = this.choice("colour", this.shades());
      if (by === "group" || !by) return { name: group.label, colour: PALETTE[this.groups.indexOf(group) % PALETTE.length] };
      const known = [...new Set(this.groups.map((each) => this.axis(each, by)))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
      const name = this.axis(group, by);
      return { name: `${by} ${name}`, colour: PALETTE[known.indexOf(name) % PALETTE.length] };
    }

    // -- charts ---------------------------------------------------------------------------------------------------------

    // x: the name of a figure, or a kind of load level.
    against(x, groups = this.groups, statistics = this.statistics) {
      const level = LEVELS[x], { metric } = this;
      const members = level ? groups.filter((group) => group.axis === x) : groups;
      const series = members.flatMap((group) => statistics.map((statistic) => this.line(group, x, `${metric}_${statistic}`, {
        name: members.length === 1 ? statistic : `${this.look(group).name}${statistics.length > 1 ? ` ${statistic}` : ""}`,
        colour: members.length === 1 ? SHADES[statistic] : this.look(group).colour,
        dash: statistics.length > 1 && statistic !== "p50" && (members.length > 1 || statistic === "p90"),
      })));
      const what = `${LATENCIES[metric]}${statistics.length === 1 ? ` ${statistics[0]}` : ""}`;
      const limits = this.limits(members, (each) => each[0] === metric && (statistics.length > 1 || each[1] === statistics[0]), LATENCIES[metric]);
      const xs = level ? series.flatMap((each) => each.x) : [];
      const lost = level && members.some((group) => group.cases.some((each) => this.run.cases[each].level === null));
      return this.chart({
        title: level ? `${what} against load (${level[0]})` : `${what} against throughput`,
        x: level ? { title: level[0], unit: level[1], log: apart(xs, 7), ticks: xs.length ? [...new Set(xs)].sort((a, b) => a - b) : [] } : { title: "output throughput", unit: "tok/s", zero: true },
        y: { title: LATENCIES[metric], unit: "ms", log: apart(series.flatMap((each) => each.y), 20), zero: true },
        note: lost ? "A load without a limit has no place on this axis and is left out." : "",
      }, series, limits);
    }

    line(group, x, y, look) {
      const points = group.cases.map((index) => [this.at(index, x), this.run.cases[index].figures[y], index])
        .filter(([a, b]) => Number.isFinite(a) && Number.isFinite(b));
      return { ...look, style: "line+points", x: points.map(([a]) => a), y: points.map(([, b]) => b), cases: points.map(([, , index]) => index), hover: points.map(([, , index]) => this.run.cases[index].id) };
    }

    at(index, x) {
      const found = this.run.cases[index];
      return x in LEVELS ? found.level : found.figures[x];
    }

    throughput(group) {
      const [title, unit] = LEVELS[group.axis];
      const series = [this.line(group, group.axis, "output_throughput", { name: "output throughput", colour: PALETTE[2] })];
      return this.chart({
        title: `Throughput against load (${title})`,
        x: { title, unit, log: apart(series[0].x, 7), ticks: series[0].x },
        y: { title: "output throughput", unit: "tok/s", zero: true },
      }, series, this.limits([group], (each) => each[0] === "output_throughput", "throughput"));
    }

    pareto() {
      const { run } = this;
      const per = run.gpus ? "GPU" : "server";
      const points = this.groups.flatMap((group) => group.cases).map((index) => [run.cases[index].figures.user_speed, run.cases[index].figures.per_gpu, index])
        .filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y));
      let highest = -1;
      const front = [...points].sort((a, b) => b[0] - a[0] || b[1] - a[1]).filter(([, y]) => y > highest && ((highest = y), true)).reverse();
      const line = { name: "front", style: "line", dash: true, colour: PALETTE[7], x: front.map(([x]) => x), y: front.map(([, y]) => y), cases: front.map(([, , index]) => index), hover: front.map(([, , index]) => run.cases[index].id) };
      const series = this.groups.map((group) => ({ ...this.line(group, "user_speed", "per_gpu", this.look(group)), style: "points" }));
      const mixed = run.gpus && this.groups.some((group) => group.cases.some((index) => run.cases[index].axes.hardware === "cpu"));
      return this.chart({
        title: `Pareto front: output per ${per} against speed per user`,
        x: { title: "speed each user sees (1 / TPOT p50)", unit: "tok/s", zero: true },
        y: { title: `output per ${per}`, unit: "tok/s", zero: true, log: apart(series.flatMap((each) => each.y), 100) },
        note: `${front.length} of ${points.length} cases are on the front: no other one beats them in both. Upper right is better.${mixed ? " A server on a CPU counts as one GPU." : ""}`,
      }, [line, ...series], []);
    }

    chart(base, series, limits) {
      const drawn = new Set(series.flatMap((each) => each.cases));
      const tall = Math.max(...series.flatMap((each) => each.y), 0);
      const far = limits.filter((each) => each.value > 3 * tall);
      const notes = [base.note, far.length ? `Not drawn, since far above: ${far.map((each) => each.text).join(", ")}.` : ""].filter(Boolean);
      return { ...base, series, limits: limits.filter((each) => !far.includes(each)), note: notes.join(" "), simulated: [...drawn].some((index) => this.run.cases[index].simulated) };
    }

    // Limits that hold for every case in the chart, so that a line never seems to judge one it does not belong to.
    limits(groups, wanted, name) {
      const cases = groups.flatMap((group) => group.cases);
      if (!cases.length) return [];
      const each = cases.map((index) => new Map(this.run.cases[index].limits.filter(wanted).map((limit) => [JSON.stringify(limit), limit])));
      return [...each[0]].filter(([key]) => each.every((found) => found.has(key)))
        .map(([, [, statistic, operator, value]]) => ({ axis: "y", value, text: [name, statistic, operator === "<=" ? "≤" : "≥", number(value)].filter(Boolean).join(" ") }));
    }

    // -- one group --------------------------------------------------------------------------------------------------------

    alone() {
      const swept = this.groups.map((group, place) => [group, place]).filter(([group]) => group.cases.length > 1);
      if (!swept.length || this.groups.length === 1) return swept.length ? [html("div", { class: "ib-charts ib-across" }, this.slot(() => this.throughput(swept[0][0])))] : [];
      const names = swept.map(([group]) => group.name);
      const chosen = this.choice("group", names);
      const [group] = swept.find(([each]) => each.name === chosen);
      const all = ["p50", "p90", "p99"];
      return [
        html("h3", {}, "One group at a time"),
        html("div", { class: "ib-controls" }, this.select("cases that differ in load alone", "group", swept.map(([each]) => [each.name, each.label]))),
        html("div", { class: "ib-charts ib-group" },
          this.slot(() => this.against("output_throughput", [group], all)), this.slot(() => this.against(group.axis, [group], all)), this.slot(() => this.throughput(group))),
      ];
    }

    // -- the heat map -----------------------------------------------------------------------------------------------------

    heatMap() {
      const { run } = this;
      const cases = [...this.visible];
      const axes = [...new Set(run.cases.flatMap((each) => Object.keys(each.axes)))].filter((axis) => !["verdict", "origin"].includes(axis));
      const counted = axes.map((axis) => [axis, new Set(cases.map((index) => run.cases[index].axes[axis] ?? "–")).size]).filter(([, size]) => size > 1);
      const figures = Object.keys(FIGURES).filter((name) => this.present(name)).sort((a, b) => (b === "ttft_p99") - (a === "ttft_p99"));
      if (!counted.length || !figures.length || cases.length < 2) return html("div");
      const names = counted.map(([axis]) => axis);
      const widest = [...counted].sort((a, b) => b[1] - a[1]).map(([axis]) => axis);
      // A row a group keeps each case in a place of its own, as long as that is a table one can read.
      const first = this.groups.length <= ROWS_MAX && names.includes("load") ? "group" : widest.find((axis) => axis !== "load") || "load";
      const rows = this.choice("rows", [first, ...names, "group"]);
      const columns = this.choice("columns", [...(rows !== "load" && names.includes("load") ? ["load"] : []), ...widest.filter((axis) => axis !== rows), "none"]);
      const figure = this.choice("figure", figures);
      const controls = html("div", { class: "ib-controls" },
        this.select("figure", "figure", figures.map((each) => [each, FIGURES[each]])),
        this.select("rows", "rows", [...new Set([first, ...names, "group"])].map((each) => [each, each])),
        this.select("columns", "columns", [columns, ...names.filter((each) => each !== columns && each !== rows), ...(columns === "none" ? [] : ["none"])].map((each) => [each, each])));
      return html("section", { class: "ib-heat-box" }, html("h3", {}, "The matrix"), controls, this.cells(cases, rows, columns, figure));
    }

    cells(cases, rows, columns, figure) {
      const { run } = this;
      const of = (index, axis) => (axis === "none" ? FIGURES[figure] : axis === "group" ? labels.get(run.cases[index].group) || "not measured" : run.cases[index].axes[axis] ?? "–");
      const labels = new Map(this.groups.map((group) => [run.cases[group.cases[0]].group, group.label]));
      const found = new Map();
      for (const index of cases) {
        const key = JSON.stringify([of(index, rows), of(index, columns)]);
        found.set(key, [...(found.get(key) || []), index]);
      }
      const order = (axis) => [...new Set(cases.map((index) => of(index, axis)))].sort(axis === "load" ? byLoad : (a, b) => a.localeCompare(b, "en", { numeric: true }));
      const values = cases.map((index) => run.cases[index].figures[figure]).filter(Number.isFinite);
      const low = Math.min(...values), high = Math.max(...values), log = apart(values, 30);
      const share = (value) => (high <= low ? 0.4 : log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low));
      const across = order(columns), down = order(rows);
      const head = html("tr", {}, html("th", { scope: "col" }, rows), ...across.map((each) => html("th", { scope: "col" }, each)));
      const body = down.map((row) => html("tr", {}, html("th", { scope: "row" }, row), ...across.map((column) => this.cell(found.get(JSON.stringify([row, column])), figure, share))));
      const note = `Darker is higher${log ? ", on a logarithmic scale" : ""}; ${BIGGER.has(figure) ? "higher is better" : "lower is better"}. ✓ pass  ✗ fail  ? inconclusive  ! invalid. Where several cases share a place, their worst figure is shown, and how many there are.`;
      const simulated = cases.some((index) => run.cases[index].simulated);
      const caption = html("caption", {}, `${FIGURES[figure]} by ${rows}${columns === "none" ? "" : ` and ${columns}`} `, simulated ? html("span", { class: "ib-pill ib-simulated" }, "SIMULATED") : null);
      return html("div", {}, html("div", { class: "ib-scroll" }, html("table", { class: "ib-heat" }, caption, html("thead", {}, head), html("tbody", {}, ...body))), html("p", { class: "ib-note" }, note));
    }

    cell(cases, figure, share) {
      if (!cases) return html("td", { class: "ib-none" }, "");
      const all = cases.map((index) => this.run.cases[index]);
      const values = all.map((each) => each.figures[figure]).filter(Number.isFinite);
      const worst = values.length ? (BIGGER.has(figure) ? Math.min(...values) : Math.max(...values)) : null;
      const verdict = ["invalid", "fail", "inconclusive", "pass"].find((each) => all.some((one) => one.axes.verdict === each));
      const shown = figure === "error_rate" && worst !== null ? `${number(worst * 100)} %` : number(worst);
      const title = `${all.map((each) => `${each.id}: ${each.axes.verdict}`).slice(0, 12).join("\n")}${all.length > 12 ? `\nand ${all.length - 12} more` : ""}`;
      const button = html("button", { type: "button", title, onclick: () => this.open(cases[0]) },
        shown, " ", html("span", { class: `ib-mark ib-mark-${verdict}`, "aria-label": verdict }, MARKS[verdict]), cases.length > 1 ? html("small", {}, ` ×${cases.length}`) : null);
      const cell = html("td", {}, button);
      if (worst !== null) cell.style.setProperty("--ib-share", `${Math.round(4 + 44 * share(worst))}%`);
      return cell;
    }
  }

  // Whether values are positive and so far apart that a linear axis would hide the small ones.
  const apart = (values, ratio) => {
    const known = values.filter(Number.isFinite);
    return known.length > 0 && Math.min(...known) > 0 && Math.max(...known) / Math.min(...known) >= ratio;
  };

  // Groups with a label each: the parts of their names that tell those in view apart.
  const apartNames = (groups) => {
    const parts = groups.map((group) => group.name.split(" · "));
    const alike = parts.every((each) => each.length === parts[0].length);
    const kept = alike && parts.length ? parts[0].map((_, place) => new Set(parts.map((each) => each[place])).size > 1) : [];
    return groups.map((group, index) => ({ ...group, label: (alike && parts[index].filter((_, place) => kept[place]).join(" · ")) || group.name }));
  };

  // Users first, then rates: each kind of load by itself, lowest first.
  const byLoad = (a, b) => {
    const [kindA, kindB] = [a, b].map((each) => each.replace("users", "user").replace(/[\d.]+/g, "").trim());
    return kindB.localeCompare(kindA) || a.localeCompare(b, "en", { numeric: true });
  };

  window.inferbench.Overview = Overview;
})();
