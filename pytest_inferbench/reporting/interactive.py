"""
A chart as data for the report's own script, which draws it when it comes into view; and how data get into the page.

The script is ours, and small: a library for plots is 4.5 MB in every report and wants a second to start. pytest-html fills its
table from JSON by its own script and builds all of it anew at every click, so what a case shows is kept outside of that table:
packed, in one element for all cases, and unpacked when somebody looks.

Rule: nothing reaches the page but as text that cannot end the element it stands in (`embedded`, `packed`).
"""

from __future__ import annotations

import base64
import json
import zlib
from html import escape
from importlib.resources import files
from typing import Any

from pytest_inferbench.reporting.chart import Axis, Chart
from pytest_inferbench.reporting.svg import svg

# What could end a <script>, open a comment in it, or break the line in an old browser.
_UNSAFE = {ord(each): f"\\u{ord(each):04x}" for each in "<>&'`{}\u2028\u2029" if each not in "{}"}


def asset(name: str) -> str:
    """One of this package's own assets, such as ``report.css``."""
    return files("pytest_inferbench.reporting").joinpath("assets", name).read_text(encoding="utf-8")


def embedded(value: Any) -> str:
    """JSON that can stand inside a ``<script type="application/json">``, whatever words are in it."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).translate(_UNSAFE)


def packed(value: Any) -> str:
    """JSON, deflated and in base64: letters, digits, ``+``, ``/`` and ``=``, which mean nothing to HTML, JSON or a template."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False).encode("utf-8", errors="replace")
    deflate = zlib.compressobj(level=6, wbits=-zlib.MAX_WBITS)
    return base64.b64encode(deflate.compress(text) + deflate.flush()).decode("ascii")


def unpacked(text: str) -> Any:
    """What `packed` was given."""
    return json.loads(zlib.decompress(base64.b64decode(text), wbits=-zlib.MAX_WBITS))


def chart_data(chart: Chart) -> dict[str, Any]:
    """The chart as plain JSON for ``chart.js``; what is empty or false is left out."""
    series = [
        _without_nothing(
            {
                "name": each.name,
                "style": each.style,
                "colour": each.colour,
                "dash": each.dash,
                "x": each.x,
                "y": each.y,
                "to": each.to,
                "hover": each.hover,
            }
        )
        for each in chart.series
        if each.x
    ]
    return _without_nothing(
        {
            "title": chart.title,
            "simulated": chart.simulated,
            "x": _axis(chart.x),
            "y": _axis(chart.y),
            "series": series,
            "limits": [{"axis": each.axis, "value": each.value, "text": each.text} for each in chart.limits],
            "note": chart.note,
            "link": chart.link,
            "flat": chart.flat,
        }
    )


def _axis(axis: Axis) -> dict[str, Any]:
    return _without_nothing(
        {"title": axis.title, "unit": axis.unit, "log": axis.log, "ticks": axis.ticks, "zero": axis.start_at_zero}
    )


def _without_nothing(value: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in value.items() if each not in (False, "", (), [])}


def still_chart(chart: Chart) -> str:
    """The chart as HTML that needs no script: what stands in the overview until its script draws there, or where none may."""
    note = f'<p class="ib-note">{escape(chart.note)}</p>' if chart.note else ""
    return f'<figure class="ib-still"><div class="ib-still-drawing">{svg(chart)}</div>{note}</figure>'
