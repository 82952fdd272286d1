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


def draws(chart: Locator) -> int:
    """Scroll to a chart, wait until it is interactive, and count the points and lines it draws on the screen."""
    chart.scroll_into_view_if_needed()
    chart.locator(".main-svg").first.wait_for(state="visible", timeout=15_000)
    box = chart.bounding_box()
    assert box is not None
    assert box["width"] > 250
    assert box["height"] > 250
    return chart.locator(".scatterlayer .js-line, .scatterlayer .point").count()


def test_the_report_shows_its_verdict_its_cases_and_charts(page: Page, troubles: list[str], tmp_path: Path) -> None:
    assert page.locator(".ib-verdict").inner_text().startswith("7 of 12 cases pass;")
    assert page.locator(".ib-cases tbody tr").count() == 12
    keep(page, "top", tmp_path)
    charts = page.locator(".ib-overview .inferbench-chart")
    assert charts.count() == 10
    assert all(draws(charts.nth(position)) >= 4 for position in range(charts.count()))
    page.locator(".ib-overview h3").first.evaluate("element => element.scrollIntoView()")
    keep(page, "charts", tmp_path)
    assert troubles == []


def test_a_row_opens_onto_charts_that_are_drawn_and_survive_sorting(page: Page, troubles: list[str], tmp_path: Path) -> None:
    row = page.locator("tbody.results-table-row", has_text="d128x64-c4]")
    assert not row.locator(".extras-row").is_visible()
    row.locator(".col-ttft_p99").click()
    assert "time to first token" in row.locator(".extras-row").inner_text()
    charts = row.locator(".inferbench-chart")
    assert charts.count() == 3
    assert all(draws(charts.nth(position)) for position in range(3))
    buttons = charts.first.locator(".modebar-btn").evaluate_all(
        "all => all.map(each => each.dataset.title || each.getAttribute('aria-label'))"
    )
    assert len(buttons) == 4
    assert not any("cloud" in (title or "").lower() for title in buttons)
    assert draws(charts.nth(1)) == 120  # 60 requests, each with its TTFT and its E2E
    row.locator(".ib-case h3").evaluate("element => element.scrollIntoView()")
    keep(page, "case", tmp_path)
    page.locator("th", has_text="TTFT p99 (ms)").click()
    assert draws(page.locator("tbody.results-table-row", has_text="d128x64-c4]").locator(".inferbench-chart").first)
    assert troubles == []


def test_sorting_by_a_figure_compares_numbers(page: Page) -> None:
    page.locator("th", has_text="Output (tok/s)").click()
    shown = page.locator("td.col-output_throughput").all_inner_texts()
    measured = [float(text) for text in shown if text != "\N{EN DASH}"]
    assert measured == sorted(measured)
    assert len(measured) == 11


def test_hostile_names_are_only_text(page: Page, troubles: list[str], tmp_path: Path) -> None:
    page.locator("#show_all_details").click()
    row = page.locator("tbody.results-table-row", has_text="alert(1)")
    assert row.locator(".ib-case h3").inner_text().startswith(f"cpu-{HOSTILE_WORDS}")
    row.locator("details", has_text="end of its log").locator("summary").click()
    assert "<b>not bold</b></pre><script>alert(3)</script>" in row.locator("details pre").inner_text()
    assert draws(row.locator(".inferbench-chart").first)
    row.locator(".ib-case h3").evaluate("element => element.scrollIntoView()")
    keep(page, "hostile", tmp_path)
    assert page.locator("img[src=x]").count() == 0
    assert page.locator("script").count() == 3  # plotly.js, ours, and that of pytest-html
    assert troubles == []


def test_a_theme_that_changes_is_followed(page: Page) -> None:
    draws(page.locator(".ib-overview .inferbench-chart").first)
    colours = set()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        wanted = "rgb(228, 232, 237)" if scheme == "dark" else "rgb(29, 35, 43)"
        # Asked by its name each time: plotly draws the title anew.
        fill = "getComputedStyle(document.querySelector('.ib-overview .inferbench-chart .xtitle')).fill"
        page.wait_for_function(f"wanted => {fill} === wanted", arg=wanted, timeout=10_000)
        colours.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert colours == {"rgb(246, 247, 249)", "rgb(15, 19, 24)"}


def test_without_javascript_the_overview_still_has_its_charts(browser: Browser, report: Path, tmp_path: Path) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    page.goto(report.as_uri())
    drawing = page.locator(".ib-overview .ib-svg").first
    drawing.scroll_into_view_if_needed()
    assert drawing.is_visible()
    assert drawing.locator("path").count() > 10
    page.screenshot(path=tmp_path / "without-javascript.png")
    context.close()


def test_paper_is_white_and_has_the_drawings_also_for_people_with_dark_screens(browser: Browser, report: Path) -> None:
    context = browser.new_context(color_scheme="dark", viewport={"width": 1000, "height": 1000})
    page = context.new_page()
    page.goto(report.as_uri())
    draws(page.locator(".ib-overview .inferbench-chart").first)
    page.emulate_media(media="print")
    assert page.locator(".ib-overview .ib-svg").first.is_visible()
    assert not page.locator(".ib-overview .ib-plot").first.is_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('.ib-chart-box')).backgroundColor") == "rgb(255, 255, 255)"
    context.close()
