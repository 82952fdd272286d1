// Draws each chart of the report when it comes into view. pytest-html rebuilds its table at every click, so charts come and go.
(() => {
  "use strict";
  if (window.inferbenchCharts) return;
  window.inferbenchCharts = true;

  const drawn = new Set();

  const theme = () => {
    const style = getComputedStyle(document.documentElement);
    const value = (name) => style.getPropertyValue(name).trim();
    return {
      "font.color": value("--ib-text"),
      "font.family": value("--ib-font"),
      "xaxis.gridcolor": value("--ib-line"),
      "yaxis.gridcolor": value("--ib-line"),
      "xaxis.zerolinecolor": value("--ib-line"),
      "yaxis.zerolinecolor": value("--ib-line"),
      "xaxis.linecolor": value("--ib-muted"),
      "yaxis.linecolor": value("--ib-muted"),
      "modebar.bgcolor": "rgba(0,0,0,0)",
      "modebar.color": value("--ib-muted"),
      "modebar.activecolor": value("--ib-text"),
      "hoverlabel.bgcolor": value("--ib-panel"),
      "hoverlabel.font.color": value("--ib-text"),
    };
  };

  const draw = (chart) => {
    if (!window.Plotly || chart.dataset.drawn) return;
    chart.dataset.drawn = "now";
    const canvas = document.createElement("div");
    canvas.className = "ib-plot";
    chart.append(canvas);
    const failed = (error) => {
      // The SVG stays in its place.
      canvas.remove();
      chart.dataset.drawn = "failed";
      console.error("a chart could not be made interactive:", error);
    };
    try {
      const figure = JSON.parse(chart.dataset.figure);
      // Named one by one: plotly's own choice has a button that sends the data to a server of its makers.
      const config = { responsive: true, displaylogo: false, modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]] };
      window.Plotly.newPlot(canvas, figure.data, figure.layout, config)
        .then(() => window.Plotly.relayout(canvas, theme()))
        .then(() => {
          chart.dataset.drawn = "yes";
          drawn.add(canvas);
        })
        .catch(failed);
    } catch (error) {
      failed(error);
    }
  };

  const visible = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => draw(entry.target)),
    { rootMargin: "200px" },
  );

  const update = () => {
    document.querySelectorAll(".inferbench-chart:not([data-seen])").forEach((chart) => {
      chart.dataset.seen = "yes";
      visible.observe(chart);
    });
    drawn.forEach((canvas) => {
      if (!canvas.isConnected) {
        window.Plotly.purge(canvas);
        drawn.delete(canvas);
      }
    });
  };

  let waiting = false;
  new MutationObserver(() => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      update();
    });
  }).observe(document.documentElement, { childList: true, subtree: true });

  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
    drawn.forEach((canvas) => window.Plotly.relayout(canvas, theme())),
  );
  // A browser may print charts that were never scrolled to, and then their SVG is there.
  update();
})();
