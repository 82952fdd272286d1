"use strict";
/* The overview: what changed, and every case with its newest figures. */
(() => {
  const { h, svg, index, number, inUnit, shownUnit, percent, day, minute, many, pill, verdictPill, VERDICTS, caseLink, compareLink, changeSize,
    changes, events, interval, commit, branchOf, state, setState, choice, main } = inferbench;
  const ROWS_AT_ONCE = 100;
  const EVENTS_AT_ONCE = 5;
  const view = { rows: ROWS_AT_ONCE, events: EVENTS_AT_ONCE };

  function sparkline(values) {
    const width = 96;
    const height = 22;
    if (!values || values.length < 2) return svg("svg", { class: "spark", width, height, "aria-hidden": "true" });
    const low = Math.min(...values);
    const high = Math.max(...values);
    const x = (at) => 2 + ((width - 6) * at) / (values.length - 1);
    const y = (value) => (high === low ? height / 2 : height - 3 - ((height - 6) * (value - low)) / (high - low));
    const path = values.map((value, at) => `${at ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("");
    return svg("svg", { class: "spark", width, height, "aria-hidden": "true" }, svg("path", { d: path }),
      svg("circle", { cx: x(values.length - 1), cy: y(values[values.length - 1]), r: 2.3 }));
  }

  /** Which series the address asks for. */
  function chosen() {
    const asked = state();
    const words = (asked.get("q") || "").toLowerCase().split(/\s+/).filter(Boolean);
    const changed = new Map();
    for (const change of changes()) {
      const kinds = changed.get(change.series) || new Set();
      changed.set(change.series, kinds.add(change.worse ? "worse" : "better").add("any"));
    }
    const { axes, series } = index();
    return series.map((each, at) => ({ ...each, at })).filter((each) =>
      words.every((word) => each.case.toLowerCase().includes(word))
      && axes.every((axis, place) => !asked.get(axis) || each.axes[place] === asked.get(axis))
      && (!asked.get("kind") || (asked.get("kind") === "simulated") === each.simulated)
      && (!asked.get("verdict") || each.verdict === asked.get("verdict"))
      && (!asked.get("changed") || (changed.get(each.at) || new Set()).has(asked.get("changed"))));
  }

  function filters() {
    const { axes, series } = index();
    const asked = state();
    const change = (name) => (value) => { setState({ [name]: value }); Object.assign(view, { rows: ROWS_AT_ONCE, events: EVENTS_AT_ONCE }); body(); };
    const search = h("input", { type: "search", name: "q", value: asked.get("q") || "", placeholder: "words of a case's name", "aria-label": "filter cases by words of their names", oninput: (event) => change("q")(event.target.value) });
    const made = [h("label", { class: "choice wide" }, h("span", {}, "case"), search)];
    axes.forEach((axis, place) => {
      const values = [...new Set(series.map((each) => each.axes[place]))].filter(Boolean).sort((one, other) => one.localeCompare(other, "en", { numeric: true }));
      if (values.length > 1) made.push(choice(axis, axis, [["", "all"], ...values.map((value) => [value, value])], asked.get(axis) || "", change(axis)));
    });
    if (new Set(series.map((each) => each.simulated)).size > 1) made.push(choice("figures", "kind", [["", "all"], ["measured", "measured"], ["simulated", "simulated"]], asked.get("kind") || "", change("kind")));
    made.push(choice("verdict", "verdict", [["", "all"], ...VERDICTS.map((each) => [each, each])], asked.get("verdict") || "", change("verdict")));
    made.push(choice("changed", "changed", [["", "all"], ["any", "any change"], ["worse", "for the worse"], ["better", "for the better"]], asked.get("changed") || "", change("changed")));
    const clear = h("button", { type: "button", class: "plain", onclick: () => { history.replaceState(null, "", location.pathname + location.search); page(); } }, "clear");
    return h("form", { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() }, made, clear);
  }

  function summary(some) {
    const { runs, series, trunk } = index();
    const last = runs[runs.length - 1];
    const counts = VERDICTS.map((verdict) => [verdict, some.filter((each) => each.verdict === verdict).length]).filter(([, count]) => count);
    return h("div", { class: "summary" },
      h("p", {}, h("b", {}, some.length === series.length ? many(series.length, "case") : `${some.length.toLocaleString("en-US")} of ${many(series.length, "case")}`),
        ` in ${many(runs.length, "run")} from ${day(runs[0])} to ${day(last)}; newest results: `, counts.map(([verdict, count]) => [pill(`${count} ${verdict}`, verdict), " "])),
      h("p", { class: "muted" }, "Newest run: ", minute(last), " UTC, ", commit(last), ` on ${branchOf(last)}`, runs.length > 1 ? [", ", compareLink(runs.length - 2, runs.length - 1, "compare it with the one before")] : "",
        `. Changes are searched among the runs on ${trunk || "no branch"}.`));
  }

  function changed(some) {
    const { runs } = index();
    const wanted = new Set(some.map((each) => each.at));
    const found = causes(events(changes().filter((change) => wanted.has(change.series))));
    const rows = found.slice(0, view.events).map((cause) => {
      const [[first]] = cause;
      const engine = first.engine_before !== first.engine_after ? h("div", { class: "muted" }, `engine ${first.engine_before || "?"} → ${first.engine_after || "?"}`) : "";
      return h("tr", { class: "event" }, h("td", { class: "nowrap" }, day(runs[first.after_run]), runs[first.after_run].release ? h("div", { class: "muted" }, runs[first.after_run].release) : ""),
        h("td", { class: "nowrap" }, interval(first), engine), h("td", {}, casesOf(cause)),
        h("td", { class: "nowrap" }, compareLink(first.before_run, first.after_run, "compare")));
    });
    const more = found.length > view.events ? h("button", { type: "button", class: "plain more", onclick: () => { view.events += 50; body(); } }, `show all ${found.length.toLocaleString("en-US")}`) : "";
    const none = h("p", { class: "muted" }, "No figure of these cases changed its level: what differs between runs is what always differs.");
    return h("section", { "aria-labelledby": "changed" }, h("h2", { id: "changed" }, "What changed"), rows.length === 0 ? none
      : h("div", { class: "scroll" }, h("table", { class: "changes" }, h("thead", {}, h("tr", {}, ["since", "between", "cases and figures", ""].map((each) => h("th", { scope: "col" }, each)))), h("tbody", {}, rows))), more);
  }

  /** Events between the same two runs, of several cases, have one cause more often than not. */
  function causes(some) {
    const found = new Map();
    for (const event of some) {
      const key = `${event[0].before_run}/${event[0].after_run}`;
      found.set(key, [...(found.get(key) || []), event]);
    }
    return [...found.values()];
  }

  function casesOf(cause) {
    const item = (event) => {
      const series = index().series[event[0].series];
      return h("li", {}, caseLink(series), series.simulated ? [" ", pill("simulated", "simulated")] : "", h("span", { class: "sizes" }, sizesOf(event)));
    };
    const list = (some) => h("ul", { class: "plain-list" }, some.map(item));
    if (cause.length <= 4) return list(cause);
    return [list(cause.slice(0, 3)), h("details", { class: "rest-of" }, h("summary", {}, `and ${many(cause.length - 3, "case")} more`), list(cause.slice(3)))];
  }

  /** The strongest figures of an event. */
  function sizesOf(event) {
    const { figures } = index();
    const sorted_ = [...event].sort((one, other) => Math.abs(other.size ?? 9) - Math.abs(one.size ?? 9));
    const more = event.length - 3;
    return [sorted_.slice(0, 3).map((change) => h("span", { class: "nowrap" }, `${figures[change.figure].short} `, changeSize(change))),
      more > 0 ? h("span", { class: "muted", title: sorted_.slice(3).map((change) => figures[change.figure].short).join(", ") }, `and ${more} more`) : ""];
  }

  /* How rows can be sorted, by the key in the address. */
  function sorted(some) {
    const [key, direction] = (state().get("sort") || "case").split(" ");
    const sign = direction === "down" ? -1 : 1;
    const place = Number(key.slice(1));
    const latest = new Map();
    for (const change of changes()) latest.set(change.series, Math.max(latest.get(change.series) ?? -1, change.after_run));
    const of = key === "verdict" ? (each) => VERDICTS.indexOf(each.verdict) : key === "last" ? (each) => each.last
      : key === "change" ? (each) => latest.get(each.at) ?? -1 : /^f[0-9]$/.test(key) ? (each) => each.lines[place]?.at(-1) ?? Infinity : null;
    const named = (one, other) => one.case.localeCompare(other.case, "en", { numeric: true });
    return [...some].sort(of ? (one, other) => sign * (of(one) - of(other)) || named(one, other) : (one, other) => sign * named(one, other));
  }

  function header(text, key, numeric) {
    const [now, direction] = (state().get("sort") || "case").split(" ");
    const next = now === key && direction !== "down" ? `${key} down` : key;
    const sort = now === key ? (direction === "down" ? "descending" : "ascending") : "none";
    const button = h("button", { type: "button", class: "sort", onclick: () => { setState({ sort: next }); body(); document.querySelector(`[data-sort="${key}"]`)?.focus(); }, "data-sort": key }, text);
    return h("th", { scope: "col", "aria-sort": sort, class: numeric ? "figure" : "" }, button);
  }

  function table(some) {
    const { runs, figures, headlines } = index();
    const newest = runs.length - 1;
    const latest = new Map();
    for (const event of events(changes())) if (!latest.has(event[0].series)) latest.set(event[0].series, event);
    const rows = sorted(some).slice(0, view.rows).map((each) => {
      const event = latest.get(each.at);
      const old = each.last === newest ? "" : h("div", { class: "muted" }, `last run ${day(runs[each.last])}`);
      const why = each.missed ? h("div", { class: "muted why" }, each.missed.length > 90 ? `${each.missed.slice(0, 89)}…` : each.missed) : "";
      return h("tr", {}, h("th", { scope: "row" }, caseLink(each), each.simulated ? [" ", pill("simulated", "simulated", "computed by the simulator; nothing was measured")] : "", why),
        h("td", {}, verdictPill(each.verdict), old),
        headlines.map((place, at) => h("td", { class: "figure" }, h("span", { class: "with-spark" }, sparkline(each.lines[at]), h("span", {}, number(inUnit(each.lines[at]?.at(-1), figures[place])))))),
        h("td", { class: "recent" }, event ? [h("div", { class: "muted" }, day(runs[event[0].after_run]), " ", interval(event[0])), strongest(event)] : h("span", { class: "muted" }, "none")));
    });
    const heads = [header("case", "case"), header("verdict", "verdict"),
      headlines.map((place, at) => header([figures[place].short, h("small", {}, ` ${shownUnit(figures[place])}`)], `f${at}`, true)), header("last change", "change")];
    const more = some.length > view.rows ? h("button", { type: "button", class: "plain more", onclick: () => { view.rows += 200; body(); } }, `show more of ${many(some.length, "case")}`) : "";
    return h("section", { "aria-labelledby": "cases" }, h("h2", { id: "cases" }, "Cases"),
      h("div", { class: "scroll" }, h("table", { class: "cases" }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows))), more,
      some.length === 0 ? h("p", { class: "muted" }, "No case fits these filters.") : "");
  }

  function strongest(event) {
    const change = event.reduce((one, other) => (Math.abs(other.size ?? 9) > Math.abs(one.size ?? 9) ? other : one));
    const more = event.length > 1 ? h("span", { class: "muted" }, ` and ${event.length - 1} more`) : "";
    return h("div", {}, `${index().figures[change.figure].short} `, changeSize(change), more);
  }

  function body() {
    const some = chosen();
    document.getElementById("body").replaceChildren(...[simulatedBanner(some), summary(some), changed(some), table(some)].filter(Boolean));
  }

  function simulatedBanner(some) {
    const count = some.filter((each) => each.simulated).length;
    if (!count) return null;
    return h("p", { class: "banner simulated" }, count === some.length ? "Everything here is simulated: nothing was measured." : `${count.toLocaleString("en-US")} of these cases ${count === 1 ? "is" : "are"} simulated: nothing was measured for ${count === 1 ? "it" : "them"}.`);
  }

  function page() {
    main().replaceChildren(h("h1", {}, "All cases"), filters(), h("div", { id: "body" }));
    body();
  }
  inferbench.pages.overview = page;
})();
