"""
The report as people see it: written by a real pytest run, opened from disk in a real browser without a network.

With ``INFERBENCH_SCREENSHOTS`` set to a folder, the pictures are kept there too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Locator, Page, Request, sync_playwright

from tests.reporting.fabricated import TEST_FILE

ROOT = Path(__file__).parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"))), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ID = "cpu-llamacpp-smollm2-135m-tp1-d128x64-c4"
HOSTILE_WORDS = '<img src=x onerror="alert(1)"></script><script>alert(2)</script>'

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium or Chrome on the PATH: apt-get install chromium")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "test_cases.py").write_text(TEST_FILE, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:inferbench", "-p", "tests.reporting.fabricated"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert "4 failed, 7 passed, 1 xfailed" in run.stdout, run.stdout + run.stderr
    return folder / "run" / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def troubles() -> list[str]:
    """Whatever the page complains about, asks, or wants from a network."""
    return []


@pytest.fixture(params=["light", "dark"])
def page(request: pytest.FixtureRequest, browser: Browser, report: Path, troubles: list[str]) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": 1440, "height": 1000},
        device_scale_factor=1.5,
        color_scheme=request.param,
        offline=True,
    )
    page = context.new_page()
    watch(page, troubles)
    page.goto(report.as_uri())
    yield page
    context.close()


def watch(page: Page, troubles: list[str]) -> None:
    def note_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            troubles.append(f"console: {message.text}")

    def note_dialog(dialog: Dialog) -> None:
        troubles.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def note_request(sent: Request) -> None:
        if not sent.url.startswith(("file:", "data:", "blob:")):
            troubles.append(f"request: {sent.url}")

    page.on("console", note_console)
    page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
    page.on("dialog", note_dialog)
    page.on("request", note_request)


def keep(page: Page, name: str, tmp_path: Path) -> None:
    theme = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'")
    picture = tmp_path / f"report-{name}-{theme}.png"
    page.screenshot(path=picture)
    if folder := os.environ.get("INFERBENCH_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, folder)


def drawn(place: Locator) -> Locator:
    """The drawing of the first chart in a place, once it was scrolled to and is there."""
    place.scroll_into_view_if_needed()
    drawing = place.locator(".ib-canvas svg").first
    drawing.wait_for(state="visible", timeout=30_000)
    box = drawing.bounding_box()
    assert box is not None
    assert box["width"] > 250
    assert box["height"] > 100
    return drawing


def chart(page: Page, title: str) -> Locator:
    """The chart across cases of this title, brought into view."""
    page.evaluate("inferbench.overview.drawAll()")
    found = page.locator("#ib-across figure.ib-chart").filter(has=page.locator("figcaption", has_text=title)).first
    drawn(found)
    return found


def opened(page: Page, case_id: str = ID) -> Locator:
    """The case shown in full, opened by its name in the table of figures."""
    # An event rather than the mouse: charts that are drawn as they come into view move what is below them.
    page.locator(".ib-cases .ib-open", has_text=case_id).first.dispatch_event("click")
    dialog = page.locator("dialog[open] .ib-dialog-body[data-shown=yes]")
    dialog.wait_for(timeout=30_000)
    return dialog


def test_the_report_shows_its_verdict_what_changed_and_what_needs_a_look(page: Page, troubles: list[str], tmp_path: Path) -> None:
    verdict = page.locator(".ib-verdict").inner_text()
    assert verdict.startswith("7 of 12 cases pass;")
    assert verdict.endswith("1 is worse than in main.")
    assert page.locator(".ib-changes .ib-compared").first.locator("tbody tr").count() == 3
    assert page.locator(".ib-attention li").count() == 4
    assert page.locator(".ib-cases tbody tr").count() == 12
    keep(page, "top", tmp_path)
    assert troubles == []


def test_cases_are_drawn_against_each_other(page: Page, troubles: list[str], tmp_path: Path) -> None:
    for title in (
        "TTFT p99 against throughput",
        "TTFT p99 against load (users at once)",
        "Pareto front",
        "Throughput against load",
    ):
        assert chart(page, title).locator("svg path[stroke-width]").count() >= 1
    assert page.locator(".ib-heat tbody td button").count() == 12
    page.locator("#ib-across").evaluate("element => element.scrollIntoView()")
    keep(page, "charts", tmp_path)
    assert troubles == []


def test_another_latency_and_another_percentile_can_be_chosen(page: Page) -> None:
    page.locator("select[data-choice=metric]").select_option("tpot")
    page.locator("select[data-choice=statistic]").select_option("p50")
    assert chart(page, "TPOT p50 against throughput").locator(".ib-label").last.text_content() == "output throughput (tok/s)"
    assert "metric=tpot" in page.url
    page.locator("select[data-choice=group]").select_option(
        label=page.locator("select[data-choice=group] option").last.inner_text()
    )
    names = page.locator(".ib-group figure").first.locator(".ib-legend button").all_inner_texts() if draw_all(page) else []
    assert names == ["p50", "p90", "p99"]


def draw_all(page: Page) -> bool:
    page.evaluate("inferbench.overview.drawAll()")
    return True


def test_a_filter_hides_cases_everywhere_and_stays_in_the_address(page: Page, report: Path, troubles: list[str]) -> None:
    page.locator(".ib-facet[data-axis=verdict] summary").click()
    page.locator(".ib-facet[data-axis=verdict] input[value=pass]").check()
    assert page.locator(".ib-count").inner_text() == "7 of 12 cases"
    assert page.locator(".ib-cases tbody tr:visible").count() == 7
    assert page.locator("#results-table tbody:visible").count() == 7
    page.goto("about:blank")
    page.goto(f"{report.as_uri()}#verdict=pass&q=d128x16")
    assert page.locator(".ib-count").inner_text() == "3 of 12 cases"
    assert page.locator(".ib-heat tbody td button").count() == 3
    page.get_by_role("button", name="Clear", exact=True).click()
    assert page.locator(".ib-count").inner_text() == "all 12 cases"
    assert "verdict" not in page.url
    assert troubles == []


def test_a_case_shows_its_distribution_its_timeline_and_its_requests(page: Page, troubles: list[str], tmp_path: Path) -> None:
    case = opened(page)
    assert page.url.endswith(f"case={ID}")
    titles = case.locator("figcaption").all_inner_texts()
    assert titles[:5] == [
        "Share of requests within a time (ECDF)",
        "Histogram of TTFT",
        "Histogram of TPOT",
        "Histogram of E2E",
        "Requests",
    ]
    assert titles[5:] == ["Requests in flight, seen from the client", "Output tokens", "GPU power", "Latency of each request"]
    assert "The 10 slowest of 60 completed requests" in case.inner_text()
    assert "A Processor" in case.inner_text()
    keep(page, "case", tmp_path)
    case.locator("a.ib-mean", has_text="tpot").first.click()
    assert "(last_token_ns - first_token_ns)" in case.locator(".ib-definition").inner_text()
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert "case=" not in page.url
    assert troubles == []


def test_a_case_has_an_address_and_its_neighbours(page: Page, report: Path, troubles: list[str]) -> None:
    page.goto("about:blank")
    page.goto(f"{report.as_uri()}#case={ID}")
    title = page.locator(".ib-dialog-head strong")
    assert title.inner_text() == ID
    page.get_by_role("button", name="Next →").click()
    assert title.inner_text() == ID.replace("-c4", "-c8")
    page.get_by_role("button", name="← Previous").click()
    page.locator("dialog[open] .ib-dialog-body[data-shown=yes]").wait_for(timeout=30_000)
    assert title.inner_text() == ID
    assert troubles == []


def test_charts_on_one_axis_of_time_are_zoomed_together(page: Page) -> None:
    case = opened(page)
    charts = case.locator(".ib-charts-timeline figure")
    ticks = [charts.nth(place).locator(".ib-tick").first.text_content() for place in range(3)]
    canvas = charts.first.locator(".ib-canvas")
    canvas.focus()
    page.keyboard.press("+")
    assert charts.nth(2).get_by_role("button", name="Reset zoom").is_visible()
    zoomed = [charts.nth(place).locator(".ib-tick").first.text_content() for place in range(3)]
    assert zoomed != ticks
    page.keyboard.press("0")
    assert [charts.nth(place).locator(".ib-tick").first.text_content() for place in range(3)] == ticks


def test_points_tell_what_they_are_by_mouse_and_by_keyboard(page: Page, troubles: list[str]) -> None:
    found = chart(page, "TTFT p99 against load (users at once)")
    canvas = found.locator(".ib-canvas")
    canvas.focus()
    page.keyboard.press("ArrowRight")
    tip = found.locator(".ib-tip")
    assert tip.is_visible()
    assert "users at once: 1" in tip.inner_text()
    assert found.locator(".ib-said").text_content() == ", ".join(tip.inner_text().splitlines())
    page.keyboard.press("ArrowRight")
    assert "users at once: 2" in tip.inner_text()
    page.keyboard.press("Enter")
    assert page.locator(".ib-dialog-head strong").inner_text().endswith("-c2")
    page.keyboard.press("Escape")
    circle = found.locator(".ib-cursor")
    canvas.focus()
    page.keyboard.press("ArrowRight")
    box = circle.bounding_box()
    assert box is not None
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert tip.is_visible()
    assert troubles == []


def test_a_series_can_be_switched_off_and_every_chart_has_a_table(page: Page, troubles: list[str]) -> None:
    found = chart(page, "TTFT p99 against throughput")
    lines = found.locator("svg path[stroke-linejoin=round]")
    before = lines.count()
    entry = found.locator(".ib-legend button").first
    entry.click()
    assert entry.get_attribute("aria-pressed") == "false"
    assert lines.count() == before - 1
    found.get_by_role("button", name="Table").click()
    # Eleven cases were measured; the table does not care what is switched off.
    assert found.locator(".ib-values tbody tr").count() == 11
    assert troubles == []


def test_a_row_of_the_table_of_tests_opens_onto_the_same_case(page: Page, troubles: list[str]) -> None:
    row = page.locator("tbody.results-table-row", has_text=f"{ID}]")
    assert not row.locator(".extras-row").is_visible()
    row.locator(".col-ttft_p99").click()
    drawn(row.locator(".ib-charts-distribution"))
    assert "time to first token" in row.locator(".extras-row").inner_text()
    page.locator("th", has_text="TTFT p99 (ms)").click()
    drawn(page.locator("tbody.results-table-row", has_text=f"{ID}]").locator(".ib-charts-distribution"))
    assert troubles == []


def test_sorting_by_a_figure_compares_numbers(page: Page) -> None:
    page.locator("th", has_text="Output (tok/s)").click()
    shown = page.locator("td.col-output_throughput").all_inner_texts()
    measured = [float(text) for text in shown if text != "\N{EN DASH}"]
    assert measured == sorted(measured)
    assert len(measured) == 11


def test_hostile_names_and_completions_are_only_text(page: Page, troubles: list[str], tmp_path: Path) -> None:
    draw_all(page)
    case = opened(page, "alert(1)")
    assert case.locator("h3").inner_text().startswith(f"cpu-{HOSTILE_WORDS}")
    # What a model answered comes back in the reason of a request that did not complete.
    assert f"the answer was no JSON: {HOSTILE_WORDS}" in case.locator(".ib-reason").inner_text()
    case.locator("details", has_text="end of its log").locator("summary").click()
    assert "<b>not bold</b></pre><script>alert(3)</script>" in case.locator("details pre").inner_text()
    case.locator("details", has_text="installed package").locator("summary").click()
    for table in case.get_by_role("button", name="Table").all():
        table.click()
    timeline = case.locator(".ib-charts-timeline .ib-canvas").first
    timeline.focus()
    page.keyboard.press("ArrowRight")
    keep(page, "hostile", tmp_path)
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.locator("#show_all_details").click()
    page.locator("select[data-choice=rows]").select_option("model")
    page.locator(".ib-facet[data-axis=model] summary").click()
    page.locator(".ib-facet[data-axis=model] input").last.check()
    assert page.locator("img[src=x]").count() == 0
    assert page.locator("script").count() == 6  # two with data, three of ours, and that of pytest-html
    assert troubles == []


def test_a_theme_that_changes_is_followed(page: Page) -> None:
    chart(page, "TTFT p99 against throughput")
    colours = set()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        wanted = "rgb(228, 232, 237)" if scheme == "dark" else "rgb(29, 35, 43)"
        fill = "getComputedStyle(document.querySelector('.ib-chart .ib-label')).fill"
        page.wait_for_function(f"wanted => {fill} === wanted", arg=wanted, timeout=10_000)
        colours.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert colours == {"rgb(246, 247, 249)", "rgb(15, 19, 24)"}


def test_every_word_stands_out_from_its_ground(page: Page) -> None:
    """The contrast of all text of the overview and of a case is at least 4.5 to 1, as WCAG 2 (AA) asks."""
    draw_all(page)
    faint = page.evaluate(CONTRAST, ".ib-overview")
    opened(page)
    assert faint + page.evaluate(CONTRAST, "dialog[open]") == []


CONTRAST = """
root => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const solid = text => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const linear = each => (each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const ground = node => {
    for (let at = node; at; at = at.parentElement) {
      const found = solid(getComputedStyle(at).backgroundColor);
      if (found[3] === 255) return found;
    }
    return [255, 255, 255];
  };
  const faint = new Set();
  for (const node of document.querySelectorAll(`${root} *`)) {
    const words = [...node.childNodes].filter(each => each.nodeType === 3 && each.textContent.trim());
    if (!words.length || !node.checkVisibility() || ["STYLE", "OPTION"].includes(node.tagName)) continue;
    const style = getComputedStyle(node), colour = node.namespaceURI.endsWith("svg") ? style.fill : style.color;
    const [a, b] = [light(solid(colour)), light(ground(node))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) faint.add(`${node.tagName} ${node.getAttribute("class")} ${words[0].textContent.trim()}`);
  }
  return [...faint];
}
"""


def test_a_narrow_window_needs_no_scrolling_sideways(page: Page, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    draw_all(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    keep(page, "narrow", tmp_path)


def test_without_javascript_the_overview_still_has_its_charts(browser: Browser, report: Path, tmp_path: Path) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    page.goto(report.as_uri())
    drawing = page.locator(".ib-overview .ib-still .ib-svg").first
    drawing.scroll_into_view_if_needed()
    assert drawing.is_visible()
    assert drawing.locator("path").count() > 10
    assert page.locator(".ib-cases tbody tr").count() == 12
    page.screenshot(path=tmp_path / "without-javascript.png")
    context.close()


def test_paper_is_white_and_has_all_charts_also_for_people_with_dark_screens(browser: Browser, report: Path) -> None:
    context = browser.new_context(color_scheme="dark", viewport={"width": 1000, "height": 1000})
    page = context.new_page()
    page.goto(report.as_uri())
    # What a browser says before it prints.
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.locator(".ib-lazy:not(:has(svg))").count() == 0
    assert not page.locator(".ib-filters").is_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('.ib-chart')).backgroundColor") == "rgb(255, 255, 255)"
    context.close()
