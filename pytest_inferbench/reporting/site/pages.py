"""The pages themselves: frames that the scripts fill. No name from a result stands in them."""

from __future__ import annotations

from hashlib import sha256
from html import escape
from importlib.resources import files
from string import Template

_SCRIPTS = ("core.js", "chart.js", "overview.js", "case.js", "compare.js")
_STYLE = "site.css"
_PAGES = {"index.html": ("overview", "All cases"), "case.html": ("case", "Case"), "compare.html": ("compare", "Two runs")}
_NAVIGATION = {"index.html": "All cases", "compare.html": "Compare two runs"}

# A site that somebody opens from disk has no origin of its own: there, 'self' may match nothing, and file: stands for it.
_POLICY = (
    "default-src 'none'; script-src 'self' file:; style-src 'self' file:; img-src 'self' file: data:;"
    " base-uri 'none'; form-action 'none'"
)
_FRAME = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="$policy">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="pytest-inferbench">
<title>$name · $title</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="$style">
<script src="$script" defer></script>
<script src="$index" defer></script>
</head>
<body data-page="$page">
<a class="skip" href="#main">to the content</a>
<header class="top"><a class="title" href="index.html">$title</a><nav aria-label="pages">$navigation</nav></header>
<main id="main" tabindex="-1">
<noscript><p class="trouble">These pages are drawn by their scripts; allow JavaScript to see them.</p></noscript>
</main>
<div id="live" class="visually-hidden" aria-live="polite"></div>
<footer>Written by inferbench site. A change of level is found by a permutation test: among 1,000 sequences in which nothing
changed, one is expected to be said to have a change. Times are UTC.</footer>
</body>
</html>
""")


def assets() -> dict[str, bytes]:
    """The one script and the one style sheet of all pages; their names end in a hash of their content."""
    folder = files("pytest_inferbench.reporting.site") / "assets"
    script = b"".join((folder / name).read_bytes() for name in _SCRIPTS)
    style = (folder / _STYLE).read_bytes()
    return {_name("site", "js", script): script, _name("site", "css", style): style}


def pages(*, title: str, index: str) -> dict[str, bytes]:
    """
    The pages by name.

    ``index`` is the name of the file with the index of the data.
    """
    script, style = assets()
    return {
        name: _FRAME.substitute(
            policy=_POLICY,
            title=escape(title),
            name=heading,
            style=style,
            script=script,
            index=index,
            page=page,
            navigation=_links(name),
        ).encode()
        for name, (page, heading) in _PAGES.items()
    }


def _links(current: str) -> str:
    return "".join(
        f'<a href="{name}"{" aria-current=page" if name == current else ""}>{text}</a>' for name, text in _NAVIGATION.items()
    )


def _name(stem: str, ending: str, content: bytes) -> str:
    return f"assets/{stem}-{sha256(content).hexdigest()[:12]}.{ending}"
