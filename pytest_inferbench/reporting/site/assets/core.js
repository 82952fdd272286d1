"use strict";
/* What all pages share: data, elements, words, and the state in the address.
   Rule: texts become nodes by createTextNode and attributes by setAttribute; nothing here or elsewhere parses HTML. */
const inferbench = (() => {
  const taken = new Map();
  const waiting = new Map();
  const pages = {};

  function take(key, value) {
    taken.set(key, value);
    for (const go of waiting.get(key) || []) go(value);
    waiting.delete(key);
  }

  /** The value of a file of details: loaded once, by a script element, since a page from disk may not fetch. */
  function need(kind, part) {
    const key = `${kind}/${part}`;
    if (taken.has(key)) return Promise.resolve(taken.get(key));
    return new Promise((resolve, reject) => {
      const first = !waiting.has(key);
      waiting.set(key, [...(waiting.get(key) || []), resolve]);
      if (!first) return;
      const script = document.createElement("script");
      script.src = index()[kind === "cases" ? "case_files" : "run_files"][part];
      script.onerror = () => reject(new Error(`${script.getAttribute("src")} is not there: the site was written anew, reload this page`));
      document.head.append(script);
    });
  }

  const index = () => taken.get("index");

  function build(made, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else made.setAttribute(name, value === true ? "" : String(value));
    }
    for (const child of children.flat(Infinity)) if (child !== null && child !== undefined && child !== "") made.append(child);
    return made;
  }
  const h = (tag, attributes, ...children) => build(document.createElement(tag), attributes, children);
  const svg = (tag, attributes, ...children) => build(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

  /* Words for figures: three significant digits, as in the reports. */
  const NOTHING = "–";
  function number(value) {
    if (value === null || value === undefined || Number.isNaN(value)) return NOTHING;
    if (value === 0) return "0";
    if (Math.abs(value) >= 999.5) return value.toLocaleString("en-US", { maximumFractionDigits: 0 });
    const rounded = Number(value.toPrecision(3));
    const magnitude = Math.floor(Math.log10(Math.abs(rounded)));
    return magnitude < -4 ? rounded.toExponential(2) : rounded.toFixed(Math.max(0, 2 - magnitude));
  }
  const shownUnit = (figure) => (figure.unit === "1" ? "%" : figure.unit);
  const inUnit = (value, figure) => (value === null || value === undefined ? value : figure.unit === "1" ? value * 100 : value);
  function quantity(value, figure) {
    const text = number(inUnit(value, figure));
    return text === NOTHING ? text : `${text} ${shownUnit(figure)}`;
  }
  function percent(share, digits) {
    if (share === null || share === undefined || !Number.isFinite(share)) return NOTHING;
    const value = share * 100;
    const places = digits === undefined ? (Math.abs(value) < 10 ? 1 : 0) : digits;
    const text = Math.abs(value).toFixed(places);
    return `${Number(text) === 0 ? "±" : value < 0 ? "−" : "+"}${text} %`;
  }
  const day = (run) => run.at.slice(0, 10);
  const minute = (run) => `${run.at.slice(0, 10)} ${run.at.slice(11, 16)}`;
  const shortCommit = (commit) => (/^[0-9a-f]{12,}$/.test(commit) ? commit.slice(0, 8) : commit);
  const many = (count, one, more) => `${count.toLocaleString("en-US")} ${count === 1 ? one : more || `${one}s`}`;

  /** The commit of a run: a link where there is somewhere to go. */
  function commit(run) {
    if (!run.commit) return h("span", { class: "muted" }, "no commit");
    const text = shortCommit(run.commit) + (run.dirty ? "+" : "");
    const title = run.dirty ? `${run.commit}, with changes that were not committed` : run.commit;
    const pattern = index().commit_url;
    if (!/^https?:\/\//i.test(pattern) || !/^[0-9a-f]{7,64}$/.test(run.commit)) return h("code", { title }, text);
    return h("a", { href: pattern.replaceAll("{commit}", run.commit), title, rel: "noreferrer" }, h("code", {}, text));
  }
  const branchOf = (run) => run.branch || "no branch";
  const pill = (text, kind, title) => h("span", { class: `pill ${kind}`, title }, text);
  const VERDICTS = ["pass", "fail", "inconclusive", "invalid"];
  const verdictPill = (verdict, title) => pill(verdict, VERDICTS.includes(verdict) ? verdict : "other", title);
  const caseLink = (series, text) => h("a", { href: `case.html#s=${series.id}`, class: "case" }, text || series.case);
  const compareLink = (before, after, text) => {
    const runs = index().runs;
    return h("a", { href: `compare.html#${new URLSearchParams({ a: runs[before].id, b: runs[after].id })}` }, text);
  };

  /** Size of a change, and whether it is for the better, in colour, sign and word. */
  function changeSize(change) {
    const figure = index().figures[change.figure];
    const word = change.worse ? "worse" : "better";
    const text = change.size === null || figure.unit === "1"
      ? `${quantity(change.before, figure)} → ${quantity(change.after, figure)}`
      : percent(change.size);
    return h("span", { class: `size ${word}` }, h("b", {}, text), ` ${word}`);
  }

  function changes() {
    const names = ["series", "figure", "before_run", "after_run", "before", "after", "size", "n_before", "n_after", "worse", "engine_before", "engine_after"];
    return index().changes.map((row) => Object.fromEntries(names.map((name, at) => [name, row[at]])));
  }

  /** Changes of one case between the same two runs are one event: one cause shows in several figures. */
  function events(some) {
    const found = new Map();
    for (const change of some) {
      const key = `${change.series}/${change.before_run}/${change.after_run}`;
      if (!found.has(key)) found.set(key, []);
      found.get(key).push(change);
    }
    return [...found.values()].sort((one, other) => other[0].after_run - one[0].after_run || one[0].series - other[0].series);
  }

  /** Between which commits: what is to be looked at. */
  function interval(change) {
    const runs = index().runs;
    const before = runs[change.before_run];
    const after = runs[change.after_run];
    if (before.commit && before.commit === after.commit) return h("span", { class: "interval" }, "same commit ", commit(after));
    return h("span", { class: "interval" }, commit(before), " .. ", commit(after));
  }

  /* State in the address: #name=value&…, so that a view can be sent to somebody. */
  const state = () => new URLSearchParams(location.hash.slice(1));
  function setState(values) {
    const now = state();
    for (const [name, value] of Object.entries(values)) {
      if (value === null || value === undefined || value === "") now.delete(name);
      else now.set(name, value);
    }
    const text = now.toString();
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  }

  function choice(label, name, options, value, chosen) {
    const select = h("select", { name, "aria-label": label, onchange: (event) => chosen(event.target.value) },
      options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)));
    return h("label", { class: "choice" }, h("span", {}, label), select);
  }
  function toggle(text, name, on, changed, extra) {
    const button = h("button", { type: "button", name, class: `toggle ${extra || ""}`, "aria-pressed": on ? "true" : "false" }, text);
    button.addEventListener("click", () => {
      const now = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(now));
      changed(now);
    });
    return button;
  }
  function say(text) {
    const live = document.getElementById("live");
    if (live.textContent !== text) live.textContent = text;
  }
  const main = () => document.getElementById("main");
  function trouble(error) {
    main().replaceChildren(h("p", { class: "trouble", role: "alert" }, error.message));
  }

  function start() {
    const page = pages[document.body.dataset.page];
    if (!index()) return trouble(new Error("The data of this page is not there: write the site again, or copy all of its folder."));
    page();
    window.addEventListener("hashchange", page);
  }
  document.addEventListener("DOMContentLoaded", start);

  return { take, need, index, h, svg, number, quantity, inUnit, shownUnit, percent, day, minute, shortCommit, many, commit, branchOf,
    pill, verdictPill, VERDICTS, caseLink, compareLink, changeSize, changes, events, interval, state, setState, choice, toggle, say,
    main, trouble, pages };
})();
