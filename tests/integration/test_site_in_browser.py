"""
The history site as people see it: in a real browser, from disk and from a local server, with a made-up history.

With ``INFERBENCH_SCREENSHOTS`` set to a folder, the pictures are kept there too.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request, expect, sync_playwright

from pytest_inferbench.reporting.site.build import build_site
from pytest_inferbench.reporting.site.data import Wording
from pytest_inferbench.reporting.site.series import history_of
from tests.reporting.site.made_up import HOSTILE, TITLE, commit_of, made_up_history, releases_of

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
COMMITS = "https://example.org/project/commit/{commit}"
SEEN = "h100-vllm-llama-3.1-8b-tp1-d512x128-c16"
WAIT_MS = 30_000

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium or Chrome on the PATH: apt-get install chromium")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("site") / "pages"
    wording = Wording(title=TITLE, commit_url=COMMITS)
    build_site(made, history_of(made_up_history()), releases=releases_of(), wording=wording)
    return made


@pytest.fixture(scope="module")
def hostile_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Names of cases, models, machines, branches, runs and releases that want to be HTML."""
    made = tmp_path_factory.mktemp("hostile") / "pages"
    tags = dict.fromkeys(releases_of(30), HOSTILE)
    history = history_of(made_up_history(30, hostile=True))
    build_site(made, history, releases=tags, wording=Wording(title=HOSTILE, commit_url=f'{COMMITS}"><script>alert(3)</script>'))
    return made


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_args: Any) -> None:
        """Say nothing on the terminal."""


@pytest.fixture(scope="module")
def places(folder: Path) -> Iterator[dict[str, str]]:
    """The address of the site from disk, and from a local server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield {"disk": folder.as_uri(), "server": f"http://127.0.0.1:{server.server_port}"}
        server.shutdown()
        thread.join()


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


@pytest.fixture
def page(browser: Browser, troubles: list[str]) -> Iterator[Page]:
    yield from opened(browser, troubles, color_scheme="light")


def opened(browser: Browser, troubles: list[str], **options: Any) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 1100}, **options)
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    watch(page, troubles)
    yield page
    context.close()


def watch(page: Page, troubles: list[str]) -> None:
    def note_console(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            troubles.append(f"console: {message.text}")

    def note_dialog(dialog: Dialog) -> None:
        troubles.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def note_request(sent: Request) -> None:
        if not sent.url.startswith(("file:", "data:", "http://127.0.0.1:")):
            troubles.append(f"request: {sent.url}")

    page.on("console", note_console)
    page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
    page.on("dialog", note_dialog)
    page.on("request", note_request)


def keep(page: Page, name: str, tmp_path: Path) -> None:
    picture = tmp_path / f"{name}.png"
    page.screenshot(path=picture)
    if kept := os.environ.get("INFERBENCH_SCREENSHOTS"):
        Path(kept).mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, kept)


def case_page(page: Page, folder: Path, case: str = SEEN, more: str = "") -> None:
    page.goto(f"{folder.as_uri()}/index.html#q={case}")
    page.locator("table.cases a.case", has_text=case).first.click()
    page.locator("svg.trend").first.wait_for()
    if more:
        page.goto(f"{page.url}&{more}")
        page.reload()
        page.locator("svg.trend").first.wait_for()


@pytest.mark.parametrize("place", ["disk", "server"])
def test_all_pages_work_from_disk_and_from_a_server(
    page: Page, troubles: list[str], places: dict[str, str], place: str, tmp_path: Path
) -> None:
    page.goto(f"{places[place]}/index.html")
    assert page.locator("table.cases tbody tr").count() == 17
    assert page.locator("header .title").inner_text() == TITLE
    keep(page, "site", tmp_path)
    page.locator("table.cases a.case", has_text=SEEN).click()
    page.locator("svg.trend").first.wait_for()
    assert page.locator("section[data-metric]").count() == 7  # goodput is the request throughput in every run
    page.get_by_role("link", name="Compare two runs").click()
    page.locator("table.pairs").wait_for()
    assert page.locator("table.pairs tbody tr").count() == 17
    assert troubles == []


def test_what_was_planted_is_named_with_its_commits_sizes_and_direction(page: Page, folder: Path, troubles: list[str]) -> None:
    page.goto(f"{folder.as_uri()}/index.html")
    event = page.locator("tr.event", has_text=SEEN).first
    text = event.inner_text()
    assert f"{commit_of(107)[:8]} .. {commit_of(108)[:8]}" in text
    assert "worse" in text
    assert "better" not in text
    link = event.locator("code").nth(1).locator("xpath=..")
    assert link.get_attribute("href") == COMMITS.replace("{commit}", commit_of(108))
    page.get_by_role("button", name="show all").click()
    improved = page.locator("tr.event", has_text="engine vllm 0.9.2 → vllm 0.10.0").inner_text()
    assert re.search("(TPOT|E2E) p[59][09] \N{MINUS SIGN}1[3-6] % better|throughput [+]1[4-8] % better", improved)
    assert troubles == []


def test_filters_stand_in_the_address_and_are_read_from_it(page: Page, folder: Path, troubles: list[str]) -> None:
    page.goto(f"{folder.as_uri()}/index.html")
    rows = page.locator("table.cases tbody tr")
    page.get_by_label("engine", exact=True).select_option("sglang")
    expect(rows).to_have_count(4)
    page.get_by_label("filter cases by words").fill("c16 d512")
    expect(rows).to_have_count(1)
    assert "engine=sglang" in page.url
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    expect(rows).to_have_count(1)
    assert page.get_by_label("engine", exact=True).input_value() == "sglang"
    page.get_by_role("button", name="clear").click()
    expect(rows).to_have_count(17)
    assert "#" not in page.url
    page.get_by_label("figures", exact=True).select_option("simulated")
    expect(rows).to_have_count(1)
    assert page.locator(".banner.simulated").inner_text() == "Everything here is simulated: nothing was measured."
    assert troubles == []


def test_columns_sort_as_numbers_and_say_so(page: Page, folder: Path) -> None:
    page.goto(f"{folder.as_uri()}/index.html")
    head = page.locator("table.cases th", has_text="TTFT p99")
    head.locator("button").click()
    assert page.locator("table.cases th", has_text="TTFT p99").get_attribute("aria-sort") == "ascending"
    shown = page.locator("table.cases tbody td:nth-child(3)").all_inner_texts()
    figures = [float(text.replace(",", "")) for text in shown]
    assert figures == sorted(figures)
    page.locator("table.cases th", has_text="TTFT p99").locator("button").press("Enter")
    assert page.locator("table.cases th", has_text="TTFT p99").get_attribute("aria-sort") == "descending"


def test_hovering_says_value_run_and_commit(page: Page, folder: Path, troubles: list[str], tmp_path: Path) -> None:
    case_page(page, folder)
    chart = page.locator("section[data-metric=tpot]")
    drawing = chart.locator("svg.trend")
    box = drawing.bounding_box()
    assert box is not None
    drawing.hover(position={"x": box["width"] * 0.3, "y": 120})
    card = chart.locator(".card")
    expect(card).to_contain_text("p50")
    text = card.inner_text()
    number = re.search(r"run 2026\d{4}-\d{6}-([0-9a-f]{4})", text)
    assert number is not None, text
    assert commit_of(int(number[1], 16))[:8] in text
    assert re.search(r"p99\s+\d+[.]\d ms", text)
    keep(page, "site-case", tmp_path)
    page.mouse.move(5, 5)
    expect(card).to_be_hidden()
    assert troubles == []


def test_the_keyboard_reads_a_chart_run_by_run(page: Page, folder: Path, troubles: list[str]) -> None:
    case_page(page, folder)
    chart = page.locator("section[data-metric=ttft]")
    drawing = chart.locator("svg.trend")
    drawing.focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    # Run 118 is of main, as its neighbour.
    expect(chart.locator(".card")).to_contain_text(commit_of(118)[:8])
    expect(page.locator("#live")).to_contain_text(f"commit {commit_of(118)[:8]}")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    chart.locator(".card .go a").click()
    page.locator("table.pairs").wait_for()
    assert "compare.html#a=" in page.url
    assert troubles == []


def test_toggles_and_choices_change_the_charts_and_the_address(page: Page, folder: Path, troubles: list[str]) -> None:
    case_page(page, folder)
    ttft = page.locator("section[data-metric=ttft] svg.trend")
    assert (ttft.locator(".line-p50").count() > 0, ttft.locator(".line-p90").count()) == (True, 0)
    page.get_by_role("button", name="p90").click()
    assert page.get_by_role("button", name="p90").get_attribute("aria-pressed") == "true"
    ttft.locator("path.line-p90").first.wait_for(state="attached")
    assert "show=p50+p99+p90" in page.url
    assert page.locator("svg.trend .mark.release").count() > 0
    page.get_by_role("button", name="releases").click()
    expect(page.locator("svg.trend .mark.release")).to_have_count(0)
    page.get_by_label("branches", exact=True).select_option("all")
    page.locator("svg.trend .point.apart").first.wait_for(state="attached")
    page.get_by_label("runs", exact=True).select_option("50")
    assert {"branches=all", "runs=50", "hide=releases"} <= set(page.url.partition("#")[2].split("&"))
    page.reload()
    page.locator("svg.trend .point.apart").first.wait_for(state="attached")
    assert troubles == []


def test_a_table_stands_behind_each_chart(page: Page, folder: Path) -> None:
    case_page(page, folder)
    sections = page.locator("section[data-metric]")
    assert sections.locator("details.data").count() == sections.count()
    ttft = page.locator("section[data-metric=ttft]")
    ttft.locator("summary").click()
    expect(ttft.locator("details tbody tr")).to_have_count(105)  # fifteen of the 120 runs are of another branch
    assert "TTFT" not in ttft.locator("thead").inner_text()
    assert ttft.locator("details thead th").all_inner_texts()[-1] == "max ms"


def test_the_same_figures_under_another_name_are_said_and_not_drawn_twice(page: Page, folder: Path) -> None:
    case_page(page, folder)
    page.get_by_text("More metrics").click()
    expect(page.locator("details.rest")).to_contain_text("the same as time to first token in every run")


def test_simulated_trends_are_marked_in_the_picture(page: Page, folder: Path) -> None:
    case_page(page, folder, "h200-vllm-llama-3.3-70b")
    assert page.locator("svg.trend .watermark").first.text_content() == "simulated, not measured"
    assert "nothing was measured" in page.locator(".banner.simulated").inner_text()


def test_two_runs_are_compared_side_by_side(page: Page, folder: Path, troubles: list[str], tmp_path: Path) -> None:
    page.goto(f"{folder.as_uri()}/index.html")
    page.locator("tr.event", has_text=SEEN).first.get_by_role("link", name="compare").click()
    row = page.locator("table.pairs tbody tr", has_text=SEEN)
    row.wait_for()
    before = page.get_by_label("A", exact=True).input_value()
    assert before.endswith("-006b")
    assert "worse" in row.inner_text()
    assert "→" in row.inner_text()
    dots = page.locator("svg.strips .dot")
    assert dots.count() == 4 * 17
    assert "h100" in (dots.first.locator("title").text_content() or "")
    keep(page, "site-compare", tmp_path)
    page.get_by_role("button", name="swap A and B").click()
    expect(page.get_by_label("B", exact=True)).to_have_value(before)
    expect(row).to_contain_text("better")
    page.get_by_role("button", name="error rate").click()
    expect(page.locator("table.pairs thead")).to_contain_text("error rate")
    assert troubles == []


def test_cases_of_only_one_run_are_listed_and_not_compared(page: Page, folder: Path) -> None:
    page.goto(f"{folder.as_uri()}/compare.html")
    page.locator("table.pairs").wait_for()
    on_branch = page.locator("select[name=a] option", has_text="prefix-cache").first.get_attribute("value")
    page.get_by_label("A", exact=True).select_option(on_branch)
    expect(page.locator("table.pairs tbody tr")).to_have_count(13)
    assert "4 cases in only one of them, or on another machine" in page.locator(".summary").inner_text()


def test_hostile_names_are_only_text(page: Page, hostile_folder: Path, troubles: list[str], tmp_path: Path) -> None:
    page.goto(f"{hostile_folder.as_uri()}/index.html")
    assert page.locator("header .title").inner_text().startswith('<img src=x onerror="alert(1)">')
    link = page.locator("table.cases a.case", has_text="alert(1)").first
    keep(page, "hostile", tmp_path)
    link.click()
    page.locator("svg.trend").first.wait_for()
    assert page.locator("h1").inner_text().startswith('<img src=x onerror="alert(1)"></script><script>alert(2)</script>')
    drawing = page.locator("section[data-metric=ttft] svg.trend")
    drawing.hover(position={"x": 300, "y": 120})
    page.locator("section[data-metric=ttft] summary").click()
    page.goto(f"{hostile_folder.as_uri()}/compare.html")
    page.locator("table.pairs").wait_for()
    assert page.locator("img, script:not([src])").count() == 0
    # The address of commits is a person's own; what is not a commit in it still makes no element.
    assert page.locator("a[href^='javascript:']").count() == 0
    assert troubles == []


@pytest.mark.parametrize("address", ["case.html", "case.html#s=none", "compare.html#a=none&b=none", "index.html#engine=none"])
def test_an_address_that_leads_nowhere_says_so_or_shows_what_there_is(
    page: Page, folder: Path, troubles: list[str], address: str
) -> None:
    page.goto(f"{folder.as_uri()}/{address}")
    if address.startswith("case"):
        assert "choose one in the overview" in page.get_by_role("alert").inner_text()
    elif address.startswith("compare"):
        page.locator("table.pairs").wait_for()
    else:
        expect(page.locator("main")).to_contain_text("No case fits these filters.")
    assert troubles == []


def test_data_that_is_gone_is_a_sentence(page: Page, folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    for part in (copy / "data").glob("cases-*.js"):
        part.unlink()
    page.goto(f"{copy.as_uri()}/index.html")
    page.locator("table.cases a.case").first.click()
    assert "is not there: the site was written anew, reload this page" in page.get_by_role("alert").inner_text()


def test_dark_screens_get_dark_pages_and_paper_stays_white(
    browser: Browser, folder: Path, troubles: list[str], tmp_path: Path
) -> None:
    for page in opened(browser, troubles, color_scheme="dark"):
        case_page(page, folder)
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 19, 24)"
        keep(page, "site-case-dark", tmp_path)
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.querySelector('.panel')).backgroundColor") == "rgb(255, 255, 255)"
        assert not page.locator(".filters").first.is_visible()
    assert troubles == []


def test_a_narrow_screen_scrolls_tables_and_not_the_page(browser: Browser, folder: Path, troubles: list[str]) -> None:
    for page in opened(browser, troubles):
        page.set_viewport_size({"width": 420, "height": 900})
        for address in ("index.html", "compare.html"):
            page.goto(f"{folder.as_uri()}/{address}")
            page.locator("table").first.wait_for()
            assert page.evaluate("document.documentElement.scrollWidth <= 420")
        case_page(page, folder)
        assert page.evaluate("document.documentElement.scrollWidth <= 420")
    assert troubles == []


def test_everything_has_a_name_for_those_who_hear_it(page: Page, folder: Path) -> None:
    for address in ("index.html", "compare.html"):
        page.goto(f"{folder.as_uri()}/{address}")
        page.locator("table").first.wait_for()
        assert nameless(page) == []
    case_page(page, folder)
    assert nameless(page) == []
    headings = page.locator("h1, h2, h3").evaluate_all("all => all.map(each => Number(each.tagName[1]))")
    assert headings[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(headings))


def nameless(page: Page) -> list[str]:
    """Controls, pictures and columns without a name, as the browser tells a screen reader of them."""
    found: list[str] = (
        page.evaluate("""() => [...document.querySelectorAll("a, button, select, input, svg[role=img], nav, section")]
        .filter(each => !["aria-label", "aria-labelledby"].some(name => each.getAttribute(name)))
        .filter(each => !each.textContent.trim() && !each.closest("label")?.textContent.trim())
        .map(each => each.outerHTML.slice(0, 120))""")
    )
    return found
