from __future__ import annotations

from pytest_inferbench.reporting.site.pages import assets, pages


def test_there_are_three_pages_with_one_script_and_one_style_sheet() -> None:
    names = sorted(assets())
    assert [name.partition("-")[0] for name in names] == ["assets/site"] * 2
    made = pages(title="A title", index="data/index-1.js")
    assert sorted(made) == ["case.html", "compare.html", "index.html"]
    for content in made.values():
        text = content.decode()
        assert all(text.count(f'"{name}"') == 1 for name in (*names, "data/index-1.js"))


def test_a_title_is_only_text() -> None:
    text = pages(title='<script>alert(1)</script> & "so on"', index="data/index-1.js")["index.html"].decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;so on&quot;" in text
    assert "<script>" not in text


def test_pages_allow_no_script_but_their_own() -> None:
    text = pages(title="A title", index="data/index-1.js")["case.html"].decode()
    assert "default-src 'none'; script-src 'self' file:;" in text
    assert "unsafe" not in text
    assert " onclick" not in text


def test_scripts_parse_no_html() -> None:
    (script,) = (content.decode() for name, content in assets().items() if name.endswith(".js"))
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "fetch("):
        assert way not in script


def test_the_page_one_is_on_is_marked() -> None:
    made = pages(title="A title", index="data/index-1.js")
    assert made["compare.html"].decode().count("aria-current=page") == 1
    assert made["case.html"].decode().count("aria-current=page") == 0
