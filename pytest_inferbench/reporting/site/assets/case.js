"use strict";
/* One case: a trend per metric, and what changed in it. */
(() => {
  const { h, index, quantity, shownUnit, day, minute, many, verdictPill, changeSize, changes, events, interval, commit, branchOf, compareLink,
    state, setState, choice, toggle, main, need, trouble, trend, number, inUnit } = inferbench;
  const SHOWN = ["p50", "p99"];
  const AT_FIRST = ["ttft", "tpot", "itl", "e2e", "request_throughput", "output_throughput", "goodput", "error_rate"];

  const column = (detail, name) => (typeof detail[name] === "string" ? detail[detail[name]] : detail[name]);

  /** The rows of a case that the address asks for. */
  function window_(detail) {
    const asked = state();
    const { runs, trunk } = index();
    let rows = detail.runs.map((_run, row) => row);
    if (asked.get("branches") !== "all") rows = rows.filter((row) => runs[detail.runs[row]].branch === trunk);
    const count = asked.get("runs") || "200";
    return count === "all" ? rows : rows.slice(-Number(count));
  }

  function since(pairs, row) {
    let found = "";
    for (const [from, text] of pairs) if (from <= row) found = text;
    return found;
  }

  /** Rows at which a text differs from that of the row before, and is known. */
  function starts(rows, textOf) {
    const found = [];
    rows.forEach((row, at) => {
      const text = textOf(row);
      if (at > 0 && text && text !== textOf(rows[at - 1])) found.push({ row: at, text });
    });
    return found;
  }

  function trendOf(series, detail, figures, rows) {
    const asked = state();
    const { runs, trunk } = index();
    const statistics = (asked.get("show") || SHOWN.join(" ")).split(" ");
    const hidden = new Set((asked.get("hide") || "").split(" "));
    const numbers = rows.map((row) => detail.runs[row]);
    const verdicts = rows.map((row) => detail.verdicts[row]);
    const lines = figures.map(([place, figure]) => {
      const all = column(detail.figures, figure.column);
      return { statistic: figure.statistic, ratio: figure.unit === "1", on: !figure.statistic || statistics.includes(figure.statistic), values: rows.map((row) => all[row]),
        changes: hidden.has("changes") ? [] : placed(changesOf(series, place), numbers) };
    });
    if (!lines.some((line) => line.on && line.values.some((value) => value !== null))) {
      const able = lines.find((line) => line.values.some((value) => value !== null));
      if (!able) return null;
      able.on = true;
    }
    return {
      title: figures[0][1].title, figure: figures[0][1], simulated: series.simulated, byTime: asked.get("x") === "time", lines, numbers, verdicts,
      runs: numbers.map((at) => runs[at]),
      joined: rows.map((row) => runs[detail.runs[row]].branch === trunk && detail.verdicts[row] !== "invalid"),
      releases: hidden.has("releases") ? [] : starts(rows, (row) => runs[detail.runs[row]].release),
      engines: hidden.has("engines") ? [] : starts(rows, (row) => since(detail.engines, row)),
      engine: (at) => since(detail.engines, rows[at]),
    };
  }

  const changesOf = (series, place) => changes().filter((change) => change.series === series.at && (place === undefined || change.figure === place));

  /** Changes as rows of what is shown; those outside are left out. */
  function placed(some, numbers) {
    return some.map((change, at) => ({
      ...change, from: numbers.lastIndexOf(change.before_run), to: numbers.indexOf(change.after_run),
      level_from: at > 0 ? Math.max(0, numbers.indexOf(some[at - 1].after_run)) : 0,
      level_to: at + 1 < some.length ? numbers.lastIndexOf(some[at + 1].before_run) : numbers.length - 1,
    })).filter((change) => change.from >= 0 && change.to >= 0);
  }

  function metrics(detail) {
    const found = new Map();
    index().figures.forEach((figure, place) => {
      if (detail.figures[figure.column] === undefined) return;
      if (!found.has(figure.metric)) found.set(figure.metric, []);
      found.get(figure.metric).push([place, figure]);
    });
    return [...found.entries()];
  }

  /** The metric whose figures are all the same ones as this metric's, where there is one. */
  function twin(detail, figures) {
    const same = figures.map(([, figure]) => detail.figures[figure.column]);
    if (!same.every((each) => typeof each === "string")) return null;
    const metrics_ = new Set(same.map((name) => index().figures.find((figure) => figure.column === name).metric));
    return metrics_.size === 1 && !metrics_.has(figures[0][1].metric) ? index().figures.find((figure) => metrics_.has(figure.metric)) : null;
  }

  function chart(series, detail, figures, rows) {
    const made = trendOf(series, detail, figures, rows);
    if (!made) return null;
    const figure = made.figure;
    const id = `metric-${figure.metric}`;
    return h("section", { class: "panel", "aria-labelledby": id, "data-metric": figure.metric },
      h("h3", { id }, made.title, h("small", {}, ` ${shownUnit(figure)} · ${figure.better} is better`)),
      trend(made), table(made));
  }

  /** The same figures for people who read rather than look; filled when it is opened. */
  function table(made) {
    const box = h("details", { class: "data" }, h("summary", {}, "Table"));
    box.addEventListener("toggle", () => {
      if (!box.open || box.childElementCount > 1) return;
      const lines = made.lines.filter((line) => line.values.some((value) => value !== null));
      const rows = made.runs.map((run, at) => h("tr", {}, h("th", { scope: "row", class: "nowrap" }, minute(run)), h("td", {}, commit(run)), h("td", {}, branchOf(run)), h("td", {}, made.engine(at)),
        h("td", {}, verdictPill(made.verdicts[at])), lines.map((line) => h("td", { class: "figure" }, number(inUnit(line.values[at], made.figure))))));
      const heads = ["run (UTC)", "commit", "branch", "engine", "verdict", ...lines.map((line) => `${line.statistic || made.title} ${shownUnit(made.figure)}`)];
      box.append(h("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": `figures of ${made.title}` },
        h("table", {}, h("caption", {}, `${made.title}: ${made.figure.formula}`), h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))), h("tbody", {}, rows.reverse()))));
    });
    return box;
  }

  function controls(draw) {
    const asked = state();
    const set = (values) => { setState(values); draw(); };
    const list = (name, standard) => (asked.get(name) || standard).split(" ").filter(Boolean);
    const switched = (name, standard, key) => (on) => {
      const now = new Set((state().get(name) || standard).split(" ").filter(Boolean));
      if (on) now.add(key); else now.delete(key);
      const text = [...now].join(" ");
      set({ [name]: text === standard ? "" : text || "none" });
    };
    const shown = list("show", SHOWN.join(" "));
    const hidden = list("hide", "");
    return h("div", { class: "filters", role: "group", "aria-label": "what the charts show" },
      choice("runs", "runs", [["50", "newest 50"], ["200", "newest 200"], ["1000", "newest 1,000"], ["all", "all"]], asked.get("runs") || "200", (value) => set({ runs: value === "200" ? "" : value })),
      choice("spaced", "x", [["", "evenly"], ["time", "by time"]], asked.get("x") || "", (value) => set({ x: value })),
      choice("branches", "branches", [["", `${index().trunk || "no branch"} only`], ["all", "all"]], asked.get("branches") || "", (value) => set({ branches: value })),
      h("span", { class: "group", role: "group", "aria-label": "statistics" }, ["mean", "p50", "p90", "p95", "p99", "max"].map((each) => toggle(each, each, shown.includes(each), switched("show", SHOWN.join(" "), each), `key line-${each}`))),
      h("span", { class: "group", role: "group", "aria-label": "marks" }, [["changes", "changes"], ["releases", "releases"], ["engines", "engine versions"]].map(([key, text]) => toggle(text, key, !hidden.includes(key), (on) => switched("hide", "", key)(!on)))));
  }

  function found(series) {
    const some = events(changesOf(series));
    const { runs, figures, trunk } = index();
    if (!some.length) return h("p", { class: "muted" }, `No figure of this case changed its level in the runs on ${trunk || "no branch"}.`);
    const rows = some.map((event) => {
      const [first] = event;
      const engine = first.engine_before !== first.engine_after ? h("div", { class: "muted" }, `engine ${first.engine_before || "?"} → ${first.engine_after || "?"}`) : "";
      const item = (change) => h("li", { title: `medians of ${change.n_before} and ${many(change.n_after, "run")}` }, `${figures[change.figure].short} `, changeSize(change),
        figures[change.figure].unit === "1" || change.size === null ? "" : h("span", { class: "muted" }, ` ${quantity(change.before, figures[change.figure])} → ${quantity(change.after, figures[change.figure])}`));
      return h("tr", {}, h("td", { class: "nowrap" }, day(runs[first.after_run]), runs[first.after_run].release ? h("div", { class: "muted" }, runs[first.after_run].release) : ""),
        h("td", { class: "nowrap" }, interval(first), engine), h("td", {}, h("ul", { class: "two" }, event.map(item))),
        h("td", { class: "muted nowrap" }, `medians of ${first.n_before} and ${many(first.n_after, "run")}, p ≤ ${index().alpha}`), h("td", {}, compareLink(first.before_run, first.after_run, "compare")));
    });
    return h("div", { class: "scroll" }, h("table", { class: "changes" }, h("thead", {}, h("tr", {}, ["since", "between", "figures", "evidence", ""].map((each) => h("th", { scope: "col" }, each)))), h("tbody", {}, rows)));
  }

  function facts(series, detail) {
    const { axes, runs } = index();
    const pairs = axes.map((axis, place) => [axis, series.axes[place]]).filter(([, value]) => value);
    const last = detail.runs.length - 1;
    return h("dl", { class: "facts" }, [...pairs, ["engine version", since(detail.engines, last)], ["runs", detail.runs.length.toLocaleString("en-US")], ["newest", minute(runs[detail.runs[last]])]]
      .filter(([, value]) => value).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
  }

  function others(series) {
    const same = index().series.filter((each) => each.case === series.case && each.id !== series.id);
    if (!same.length) return "";
    return h("p", { class: "muted" }, "The same case elsewhere: ", same.map((each) => [h("a", { href: `#s=${each.id}` }, [each.axes[index().axes.indexOf("machine")] || "unknown machine", each.simulated ? "simulated" : "measured"].join(", ")), " "]));
  }

  function drawn(series, detail) {
    const rows = window_(detail);
    const charts = document.getElementById("charts");
    if (!rows.length) return charts.replaceChildren(h("p", { class: "muted" }, "No run of this case is on this branch: show all branches."));
    const first = [];
    const rest = [];
    const twins = [];
    for (const [name, figures] of metrics(detail)) {
      const same = twin(detail, figures);
      if (same) { twins.push(`${figures[0][1].title}: the same as ${same.title} in every run.`); continue; }
      const made = () => chart(series, detail, figures, rows);
      (AT_FIRST.includes(name) ? first : rest).push(made);
    }
    const open = state().get("more") === "1";
    const grid = (some) => h("div", { class: "charts" }, some.map((make) => make()).filter(Boolean));
    const more = h("details", { class: "rest", open }, h("summary", {}, `More metrics (${rest.length + twins.length})`));
    const fill = () => { if (more.open && more.childElementCount === 1) more.append(grid(rest), ...twins.map((text) => h("p", { class: "muted" }, text))); };
    more.addEventListener("toggle", () => { setState({ more: more.open ? "1" : "" }); fill(); });
    charts.replaceChildren(grid(first), rest.length + twins.length ? more : "");
    if (open) fill();
  }

  async function page() {
    const { series, title } = index();
    const at = series.findIndex((each) => each.id === state().get("s"));
    if (at < 0) return trouble(new Error(state().get("s") ? "There is no such case in this history; choose one in the overview." : "No case was chosen; choose one in the overview."));
    const chosen = { ...series[at], at };
    document.title = `${chosen.case} · ${title}`;
    let detail;
    try {
      detail = (await need("cases", chosen.file))[at];
    } catch (error) {
      return trouble(error);
    }
    const last = detail.runs.length - 1;
    const why = detail.errors[last] || detail.missed[last];
    const draw = () => drawn(chosen, detail);
    main().replaceChildren(
      h("h1", { class: "case" }, chosen.case), h("p", { class: "pills" }, verdictPill(detail.verdicts[last]), " ", why ? h("span", { class: "muted" }, why) : ""),
      chosen.simulated ? h("p", { class: "banner simulated" }, "Simulated: these figures are computed by the simulator, nothing was measured.") : "",
      facts(chosen, detail), others(chosen),
      h("section", { "aria-labelledby": "changed" }, h("h2", { id: "changed" }, "What changed"), found(chosen)),
      h("section", { "aria-labelledby": "trends" }, h("h2", { id: "trends" }, "Trends"), controls(draw), legend(), h("div", { id: "charts" })));
    draw();
  }

  function legend() {
    return h("p", { class: "muted legend" }, "A band is a change of level between two runs, the thick lines are the medians on both sides; vertical lines are releases and engine versions; a red cross is a result that failed its objectives; hollow points are of other branches or not to be believed.");
  }
  inferbench.pages.case = page;
})();
