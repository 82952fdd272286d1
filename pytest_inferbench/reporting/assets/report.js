// The page: filters that live in its address, cases that are unpacked when somebody looks, and pytest-html's table beside them.
document.addEventListener("DOMContentLoaded", () => {
  "use strict";
  const { Chart, Overview, html } = window.inferbench;
  const run = JSON.parse(document.getElementById("ib-run").textContent);
  const packed = document.getElementById("ib-packed-cases").textContent.split("\n");
  const table = () => document.getElementById("results-table");

  // -- the address ------------------------------------------------------------------------------------------------------

  const state = {
    params: new URLSearchParams(location.hash.slice(1)),
    get: (name) => state.params.get(name),
    all: (name) => state.params.getAll(name),
    set: (name, value) => state.put(name, value === null ? [] : [value]),
    put(name, values) {
      state.params.delete(name);
      values.forEach((each) => state.params.append(name, each));
      const hash = state.params.toString();
      history.replaceState(history.state, "", hash ? `#${hash}` : location.pathname + location.search);
    },
  };

  // -- filters ----------------------------------------------------------------------------------------------------------

  const values = new Map();
  run.cases.forEach((each) => Object.entries(each.axes).forEach(([axis, value]) => {
    const found = values.get(axis) || values.set(axis, new Map()).get(axis);
    found.set(value, (found.get(value) || 0) + 1);
  }));
  const facets = [...values].filter(([, found]) => found.size > 1).map(([axis, found]) => [axis, [...found].sort((a, b) => a[0].localeCompare(b[0], "en", { numeric: true }))]);

  const matches = (each) => {
    const words = (state.get("q") || "").toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.every((word) => each.id.toLowerCase().includes(word))) return false;
    return facets.every(([axis]) => {
      const wanted = state.all(axis);
      return !wanted.length || wanted.includes(each.axes[axis]);
    });
  };
  const visible = () => new Set(run.cases.flatMap((each, index) => (matches(each) ? [index] : [])));

  const facet = ([axis, found]) => {
    const boxes = found.map(([value, count]) => {
      const box = html("input", { type: "checkbox", value, checked: state.all(axis).includes(value) });
      return html("label", {}, box, ` ${value} `, html("small", {}, String(count)));
    });
    const summary = html("summary", {});
    const details = html("details", { class: "ib-facet", "data-axis": axis }, summary, html("div", { class: "ib-facet-box", role: "group", "aria-label": axis }, ...boxes));
    details.addEventListener("change", () => {
      state.put(axis, [...details.querySelectorAll("input:checked")].map((box) => box.value));
      refresh();
    });
    return details;
  };

  const bar = document.getElementById("ib-filters");
  const said = html("span", { class: "ib-count", role: "status" });
  const search = html("input", { type: "search", placeholder: "words in a case's name", "aria-label": "Words in a case's name", value: state.get("q") || "" });
  const clear = html("button", { type: "button", class: "ib-tool" }, "Clear");
  clear.addEventListener("click", () => {
    search.value = "";
    state.put("q", []);
    facets.forEach(([axis]) => state.put(axis, []));
    bar.querySelectorAll("input:checked").forEach((box) => { box.checked = false; });
    refresh();
  });
  let typing = 0;
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      state.put("q", search.value ? [search.value] : []);
      refresh();
    }, 150);
  });
  // One facet at a time; a click elsewhere, or Escape, folds it.
  const fold = (but) => bar.querySelectorAll("details[open]").forEach((each) => { if (each !== but) each.open = false; });
  document.addEventListener("click", (event) => fold(event.target.closest && event.target.closest(".ib-facet")));
  bar.addEventListener("keydown", (event) => {
    const open = event.key === "Escape" && bar.querySelector("details[open]");
    if (open) {
      open.open = false;
      open.firstChild.focus();
    }
  });

  // -- cases ------------------------------------------------------------------------------------------------------------

  const unpacked = new Map();
  const unpack = (index) => {
    if (!unpacked.has(index)) unpacked.set(index, inflate(packed[index] || ""));
    return unpacked.get(index);
  };
  const inflate = async (text) => {
    if (!text) return null;
    const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return JSON.parse(await new Response(stream).text());
  };

  const show = async (place, index) => {
    place.dataset.shown = "waiting";
    let found = null;
    try {
      found = await unpack(index);
    } catch (error) {
      place.dataset.shown = "failed";
      place.replaceChildren(html("p", { class: "ib-note" }, `This case cannot be shown: ${error.message}. Its files lie beside this report.`));
      return;
    }
    if (!found) {
      place.replaceChildren(html("p", { class: "ib-note" }, "Nothing more was kept of this case."));
      return;
    }
    // Our own markup: every foreign word in it was escaped where it was made.
    place.innerHTML = found.html;
    place.querySelectorAll("[data-charts]").forEach((slot) => {
      const together = slot.dataset.charts === "timeline" ? [] : undefined;
      (found.charts[slot.dataset.charts] || []).forEach((data) => {
        const box = html("div");
        slot.append(box);
        new Chart(box, data, { together, height: slot.dataset.charts === "timeline" ? 340 : 270 });
      });
      // The first of them did not know of the others yet.
      if (together) together.forEach((each) => each.draw());
    });
    place.dataset.shown = "yes";
  };

  const title = html("strong", {});
  const body = html("div", { class: "ib-dialog-body", tabindex: "-1" });
  const step = (by, words) => html("button", { type: "button", class: "ib-tool", onclick: () => walk(by) }, words);
  const dialog = html("dialog", { class: "ib-dialog", "aria-label": "One case" },
    html("div", { class: "ib-dialog-head" }, title, html("span", {}, step(-1, "← Previous"), step(1, "Next →"), html("button", { type: "button", class: "ib-tool", onclick: () => dialog.close() }, "Close"))), body);
  document.body.append(dialog);
  let now = -1;
  const name = (index) => (run.cases.filter((each) => each.id === run.cases[index].id).length > 1 ? run.cases[index].node : run.cases[index].id);
  const open = (index) => {
    now = index;
    title.textContent = run.cases[index].id;
    body.replaceChildren();
    if (!dialog.open) dialog.showModal();
    state.set("case", name(index));
    show(body, index).then(() => { body.scrollTop = 0; });
    body.focus();
  };
  const walk = (by) => {
    const all = [...visible()];
    const at = all.indexOf(now);
    if (all.length) open(all[(at + by + all.length) % all.length]);
  };
  dialog.addEventListener("close", () => {
    body.replaceChildren();
    state.set("case", null);
  });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

  document.addEventListener("click", (event) => {
    const chosen = event.target.closest && event.target.closest(".ib-open");
    if (chosen) {
      const index = chosen.dataset.case ? Number(chosen.dataset.case) : run.cases.findIndex((each) => each.id === chosen.dataset.id);
      if (index >= 0) open(index);
    }
    const mean = event.target.closest && event.target.closest("a.ib-mean");
    if (mean) {
      // The definition opens below the row: the address holds the filters.
      event.preventDefault();
      const row = mean.closest("tr"), next = row.nextElementSibling;
      if (next && next.className === "ib-definition") next.remove();
      else {
        const formula = document.querySelector(`${mean.getAttribute("href")} dd`);
        row.after(html("tr", { class: "ib-definition" }, html("td", { colspan: row.childElementCount }, formula ? formula.textContent : "not defined here")));
      }
    }
  });

  // -- pytest-html's table ----------------------------------------------------------------------------------------------

  const seen = new IntersectionObserver((all) => all.filter((each) => each.isIntersecting && !each.target.dataset.shown).forEach((each) => show(each.target, Number(each.target.dataset.case))), { rootMargin: "200px" });
  let shownNow = visible();
  const rows = () => {
    document.querySelectorAll(".ib-slot").forEach((slot) => {
      const body = slot.closest("tbody");
      if (body) body.classList.toggle("ib-out", !shownNow.has(Number(slot.dataset.case)));
      if (!slot.dataset.watched) {
        slot.dataset.watched = "yes";
        seen.observe(slot);
      }
    });
  };
  // It is built anew at every click; only a child of its parent changes then.
  new MutationObserver((changes) => { if (changes.some((each) => [...each.addedNodes].includes(table()))) rows(); }).observe(table().parentNode, { childList: true });

  // -- all together -----------------------------------------------------------------------------------------------------

  const across = document.getElementById("ib-across");
  const overview = (window.inferbench.overview = across ? new Overview(across, run, state, open) : null);
  const refresh = () => {
    shownNow = visible();
    if (overview) overview.draw(shownNow);
    document.querySelectorAll(".ib-overview [data-case]").forEach((each) => {
      if (each.tagName !== "BUTTON") each.hidden = !shownNow.has(Number(each.dataset.case));
    });
    rows();
    const filtered = shownNow.size < run.cases.length;
    said.textContent = filtered ? `${shownNow.size} of ${run.cases.length} cases` : `all ${run.cases.length} cases`;
    clear.hidden = !filtered;
    bar.querySelectorAll("details").forEach((each) => {
      const { axis } = each.dataset;
      const wanted = state.all(axis);
      each.firstChild.textContent = wanted.length ? `${axis}: ${wanted.length > 2 ? `${wanted.length} chosen` : wanted.join(", ")}` : axis;
      each.classList.toggle("ib-chosen", wanted.length > 0);
    });
  };
  if (run.cases.length > 1) {
    bar.append(html("span", { class: "ib-filter-words" }, "Show"), ...facets.map(facet), search, clear, said);
    bar.hidden = false;
  }
  refresh();

  const opened = () => {
    const wanted = state.get("case");
    const index = run.cases.findIndex((each) => each.id === wanted || each.node === wanted);
    if (wanted && index >= 0) open(index);
    else if (dialog.open) dialog.close();
  };
  window.addEventListener("hashchange", () => {
    state.params = new URLSearchParams(location.hash.slice(1));
    bar.querySelectorAll("details").forEach((each) => each.querySelectorAll("input").forEach((box) => { box.checked = state.all(each.dataset.axis).includes(box.value); }));
    search.value = state.get("q") || "";
    refresh();
    opened();
  });
  opened();
  window.addEventListener("beforeprint", () => { if (overview) overview.drawAll(); });
});
