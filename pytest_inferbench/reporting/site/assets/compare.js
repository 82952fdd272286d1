"use strict";
/* Two runs side by side: what differs, and whether by more than runs always do. */
(() => {
  const { h, svg, index, number, inUnit, shownUnit, percent, minute, many, shortCommit, branchOf, commit, pill, verdictPill, caseLink, state, setState, choice, toggle, main, need, trouble } = inferbench;
  const ROWS_AT_ONCE = 200;
  const STANDARD = ["ttft_ms_p99", "tpot_ms_p50", "e2e_ms_p99", "output_throughput_tokens_per_s"];
  // Two runs that differ by chance alone are further apart than this in one of a hundred pairs.
  const UNUSUAL = 2.576 * Math.SQRT2;
  const view = { rows: ROWS_AT_ONCE };

  const label = (run) => [minute(run), run.commit ? shortCommit(run.commit) + (run.dirty ? "+" : "") : "no commit", branchOf(run), run.release, many(run.cases, "case"), run.id].filter(Boolean).join(" · ");

  /** The two runs that the address asks for: else the newest, and the newest before it on its branch. */
  function asked() {
    const { runs } = index();
    const named = (name) => runs.findIndex((run) => run.id === state().get(name));
    const b = named("b") >= 0 ? named("b") : runs.length - 1;
    let a = named("a");
    for (let at = b - 1; a < 0 && at >= 0; at -= 1) if (runs[at].branch === runs[b].branch && runs[at].host === runs[b].host) a = at;
    return [a < 0 ? Math.max(0, b - 1) : a, b];
  }

  async function resultsOf(run) {
    const found = (await need("runs", index().runs[run].file))[run];
    return new Map(found.series.map((series, row) => [series, { verdict: found.verdicts[row], values: found.figures.map((column) => column[row]) }]));
  }

  function chosenFigures() {
    const { figures, compared } = index();
    const wanted = (state().get("figures") || STANDARD.join(" ")).split(" ");
    return compared.map((place, at) => ({ ...figures[place], at })).filter((figure) => wanted.includes(figure.column));
  }

  /** How a figure differs: relative (or in points for a ratio), worse or better or neither, and whether unusually. */
  function difference(figure, before, after, usual) {
    if (before === null || after === null || before === undefined || after === undefined) return null;
    const ratio = figure.unit === "1";
    const change = ratio ? after - before : before === 0 ? null : after / before - 1;
    const worse = after === before ? null : (after > before) === (figure.better === "smaller");
    const known = usual !== null && !ratio;
    return { before, after, change, ratio, worse, known, unusual: known && change !== null && Math.abs(change) > UNUSUAL * usual, usual };
  }

  function pairs(one, other) {
    const { series } = index();
    const words = (state().get("q") || "").toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (at) => words.every((word) => series[at].case.toLowerCase().includes(word));
    const figures = chosenFigures();
    const both = [...one.keys()].filter((at) => other.has(at) && fits(at)).map((at) => ({
      series: series[at], verdicts: [one.get(at).verdict, other.get(at).verdict],
      differences: figures.map((figure) => difference(figure, one.get(at).values[figure.at], other.get(at).values[figure.at], series[at].scatter[figure.at])),
    }));
    const only = (some, others) => [...some.keys()].filter((at) => !others.has(at) && fits(at)).map((at) => series[at]);
    return { figures, both, before: only(one, other), after: only(other, one) };
  }

  const badness = (pair) => Math.max(0, ...pair.differences.map((each) => (each && each.worse && each.change !== null ? Math.abs(each.change) * (each.unusual ? 1000 : 1) : 0)));

  /** A row a figure, a dot a case, to the right for the worse. */
  function strips({ figures, both }) {
    const row = 46;
    const width = Math.max(420, main().clientWidth - 90);
    const left = 190;
    const shown = figures.filter((figure) => figure.unit !== "1");
    const changes = both.flatMap((pair) => pair.differences.filter((each) => each && !each.ratio && each.change !== null).map((each) => Math.abs(each.change)));
    if (!changes.length) return "";
    const sortedChanges = changes.sort((one, other) => one - other);
    const most = sortedChanges[Math.floor((sortedChanges.length - 1) * 0.98)];
    const limit = [0.02, 0.04, 0.1, 0.2, 0.4, 1, 2, 4, 10].find((each) => each > most) || 10;
    const x = (change) => left + ((width - left - 30) * (Math.max(-limit, Math.min(limit, change)) + limit)) / (2 * limit);
    const height = row * shown.length + 34;
    const image = svg("svg", { class: "strips", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Relative change of ${many(both.length, "case")} in ${shown.map((each) => each.short).join(", ")}; the table below has the figures` });
    for (const share of [-1, -0.5, 0, 0.5, 1]) {
      image.append(svg("line", { class: share ? "grid" : "zero", x1: x(share * limit), x2: x(share * limit), y1: 8, y2: height - 24 }),
        svg("text", { class: "tick", x: x(share * limit), y: height - 8, "text-anchor": "middle" }, share ? percent(share * limit, limit < 0.1 ? 1 : 0) : "no change"));
    }
    shown.forEach((figure, at) => {
      const middle = row * at + row / 2 + 6;
      image.append(svg("text", { class: "name", x: 4, y: middle + 4 }, figure.short), svg("text", { class: "tick", x: 4, y: middle + 18 }, `${figure.better} is better`));
      both.forEach((pair, order) => {
        const each = pair.differences[figures.indexOf(figure)];
        if (!each || each.change === null) return;
        const kind = !each.unusual ? "usual" : each.worse ? "worse" : "better";
        const beyond = Math.abs(each.change) > limit ? " (outside the scale)" : "";
        const dot = svg("circle", { class: `dot ${kind}`, cx: x(each.change), cy: middle + (((order * 7) % 11) - 5) * 2.2, r: 4.5 });
        dot.append(svg("title", {}, `${pair.series.case}\n${figure.short} ${number(each.before)} → ${number(each.after)} ${shownUnit(figure)}, ${percent(each.change)}${beyond}`));
        image.append(dot);
      });
    });
    return h("div", { class: "panel" }, image, h("p", { class: "muted legend" }, "A dot is a case. Filled red or green is further apart than chance brings two runs of its case in 99 of 100 pairs, by how its runs scattered in this history; hollow grey is within that, or the scatter is not known."));
  }

  function cell(figure, each) {
    if (!each) return h("td", { class: "figure muted" }, "–");
    const size = each.ratio ? `${each.change >= 0 ? "+" : "−"}${number(Math.abs(each.change * 100))} points` : percent(each.change, 1);
    const word = each.worse === null ? "equal" : each.worse ? "worse" : "better";
    const loud = each.unusual || (each.ratio && each.change !== 0);
    const title = each.known ? `runs of this case usually scatter by ${(each.usual * 100).toFixed(1)} %` : each.ratio ? "" : "how runs of this case scatter is not known";
    return h("td", { class: "figure", title }, h("span", { class: "muted" }, `${number(inUnit(each.before, figure))} → ${number(inUnit(each.after, figure))}`), " ",
      each.worse === null ? h("span", { class: "muted" }, "equal") : h("span", { class: loud ? `size ${word}` : "usual" }, h(loud ? "b" : "span", {}, size), loud ? ` ${word}` : ""));
  }

  function table(found) {
    const sorted = [...found.both].sort((one, other) => badness(other) - badness(one) || one.series.case.localeCompare(other.series.case, "en", { numeric: true }));
    const machine = index().axes.indexOf("machine");
    const rows = sorted.slice(0, view.rows).map((pair) => h("tr", {},
      h("th", { scope: "row" }, caseLink(pair.series), pair.series.simulated ? [" ", pill("simulated", "simulated")] : "", pair.series.axes[machine] ? h("div", { class: "muted" }, pair.series.axes[machine]) : ""),
      h("td", { class: "nowrap" }, pair.verdicts[0] === pair.verdicts[1] ? verdictPill(pair.verdicts[1]) : [verdictPill(pair.verdicts[0]), " → ", verdictPill(pair.verdicts[1])]),
      pair.differences.map((each, at) => cell(found.figures[at], each))));
    const heads = ["case", "verdict"].map((text) => h("th", { scope: "col" }, text));
    const more = sorted.length > view.rows ? h("button", { type: "button", class: "plain more", onclick: () => { view.rows += 500; draw(); } }, `show more of ${many(sorted.length, "case")}`) : "";
    return [h("div", { class: "scroll" }, h("table", { class: "pairs" }, h("thead", {}, h("tr", {}, heads, found.figures.map((figure) => h("th", { scope: "col", class: "figure" }, figure.short, h("small", {}, ` ${shownUnit(figure)}`))))), h("tbody", {}, rows))), more];
  }

  function summary(found, a, b) {
    const { runs } = index();
    const unusual = found.both.flatMap((pair) => pair.differences.filter((each) => each && each.unusual));
    const known = found.both.flatMap((pair) => pair.differences.filter((each) => each && each.known)).length;
    const worse = unusual.filter((each) => each.worse).length;
    const count = (some) => many(some, "figure");
    const turned = found.both.filter((pair) => pair.verdicts[0] !== pair.verdicts[1]).length;
    return h("div", { class: "summary" }, h("p", {}, h("b", {}, many(found.both.length, "case")), " in both runs: ", pill(`${count(worse)} worse`, worse ? "fail" : "other"), " ", pill(`${count(unusual.length - worse)} better`, unusual.length > worse ? "pass" : "other"),
      ` by more than runs differ anyway (of ${many(known, "figure")}, chance alone makes ${known < 100 ? "at most one" : `about ${Math.round(known / 100)}`} look so)`, turned ? `; ${many(turned, "verdict")} differ${turned === 1 ? "s" : ""}` : "", "."),
    runs[a].commit && runs[a].commit === runs[b].commit ? h("p", { class: "muted" }, "Both are of the same commit: what differs is not in the repository.") : "",
    found.before.length || found.after.length ? h("details", {}, h("summary", {}, `${many(found.before.length + found.after.length, "case")} in only one of them, or on another machine`),
      h("ul", {}, [...found.before.map((series) => [series, "only in A"]), ...found.after.map((series) => [series, "only in B"])].slice(0, 500).map(([series, where]) => h("li", {}, caseLink(series), ` ${where}`)))) : "");
  }

  function side(name, at, other) {
    const { runs } = index();
    const options = runs.map((run) => [run.id, label(run)]).reverse();
    const run = runs[at];
    return h("div", { class: `side side-${name}` }, choice(name.toUpperCase(), name, options, run.id, (value) => { setState({ [name]: value, [name === "a" ? "b" : "a"]: runs[other].id }); page(); }),
      h("p", { class: "muted" }, commit(run), ` · ${branchOf(run)} · ${run.host || "unknown host"}`, run.release ? ` · ${run.release}` : "", run.version ? ` · plugin ${run.version}` : ""));
  }

  let results = null;
  function draw() {
    const [a, b] = asked();
    const found = pairs(...results);
    document.getElementById("body").replaceChildren(summary(found, a, b), strips(found), ...table(found));
  }

  function controls() {
    const { figures, compared } = index();
    const wanted = (state().get("figures") || STANDARD.join(" ")).split(" ");
    const search = h("input", { type: "search", name: "q", value: state().get("q") || "", placeholder: "words of a case's name", "aria-label": "filter cases by words of their names", oninput: (event) => { setState({ q: event.target.value }); draw(); } });
    return h("div", { class: "filters" }, h("label", { class: "choice wide" }, h("span", {}, "case"), search),
      h("span", { class: "group", role: "group", "aria-label": "figures" }, compared.map((place) => toggle(figures[place].short, figures[place].column, wanted.includes(figures[place].column), (on) => {
        const now = new Set((state().get("figures") || STANDARD.join(" ")).split(" "));
        if (on) now.add(figures[place].column); else now.delete(figures[place].column);
        setState({ figures: [...now].filter((each) => each !== "none").join(" ") || "none" });
        draw();
      }))));
  }

  async function page() {
    const [a, b] = asked();
    const { runs, title } = index();
    document.title = `Two runs · ${title}`;
    try {
      results = [await resultsOf(a), await resultsOf(b)];
    } catch (error) {
      return trouble(error);
    }
    const swap = h("button", { type: "button", class: "plain swap", onclick: () => { setState({ a: runs[b].id, b: runs[a].id }); page(); } }, "swap A and B");
    main().replaceChildren(h("h1", {}, "Two runs side by side"), h("div", { class: "sides" }, side("a", a, b), side("b", b, a), swap), controls(), h("div", { id: "body" }));
    draw();
  }
  inferbench.pages.compare = page;
})();
