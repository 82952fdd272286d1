"""
How figures and foreign words are written for people: in the terminal, the report, the charts.

Rule: rounding happens here and nowhere else, and nothing that was rounded here is ever computed with.
"""

from __future__ import annotations

import re
from math import floor, isfinite, isnan, log10

# An en dash; written by name since it looks like a minus.
NOTHING = "\N{EN DASH}"

# An escape sequence (colours, cursor, window titles) goes as a whole; a lone control character becomes a blank. Bidirectional
# overrides and isolates are taken out too, since they can make a line read as another one.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]?"
)
_INVISIBLE = re.compile("[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def number(value: float | None) -> str:
    """
    Three significant digits, whole numbers in full: ``0.0123``, ``12.3``, ``412``, ``12,345``.

    What is missing (None, NaN) is a dash.
    """
    if value is None or isnan(value):
        return NOTHING
    if not isfinite(value):
        return "∞" if value > 0 else "-∞"
    if value == 0:
        return "0"
    if abs(value) >= 999.5:
        return f"{value:,.0f}" if abs(value) < 1e12 else f"{value:.2e}"
    # Rounded before its digits are counted: 9.996 has three of them as 10.0.
    rounded = float(f"{value:.2e}")
    magnitude = floor(log10(abs(rounded)))
    return f"{rounded:.2e}" if magnitude < -4 else f"{rounded:.{max(0, 2 - magnitude)}f}"


def quantity(value: float | None, unit: str) -> str:
    """A number with its unit: ``412 ms``; a ratio (unit ``1``) in percent: ``1.25 %``."""
    text = number(value * 100 if unit == "1" and value is not None else value)
    shown_unit = "%" if unit == "1" else unit
    return text if text == NOTHING or not shown_unit else f"{text} {shown_unit}"


def limit(operator: str, value: float, unit: str = "") -> str:
    """An objective's limit as the person wrote it, not rounded: ``≤ 250 ms``, ``≥ 20 tok/s``, ``≤ 1 %``."""
    sign = {"<=": "≤", ">=": "≥"}.get(operator, operator)
    shown = value * 100 if unit == "1" else value
    unit_shown = {"1": " %", "": ""}.get(unit, f" {unit}")
    return f"{sign} {shown:,.10g}{unit_shown}"


def count(value: int | None) -> str:
    """A number of things, in full: ``12,345``."""
    return NOTHING if value is None else f"{value:,}"


def difference(actual: float, limit: float) -> str:
    """How far ``actual`` is from ``limit``, as a share of the limit: ``+17.9 %``; a dash where there is no such share."""
    if limit == 0 or not isfinite(actual) or not isfinite(limit):
        return NOTHING
    share = (actual - limit) / abs(limit) * 100
    return f"{'+' if share >= 0 else '-'}{number(abs(share))} %"


def length_of_time(seconds: float | None) -> str:
    """A length of time in at most two units: ``0.4 s``, ``42 s``, ``3 min 05 s``, ``2 h 07 min``."""
    if seconds is None or not isfinite(seconds):
        return NOTHING
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, left_s = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {left_s:02d} s"
    hours, left_min = divmod(minutes, 60)
    return f"{hours} h {left_min:02d} min"


def printable(text: str) -> str:
    """Words of others (a model's name, an error) on one line, without escape sequences or control characters."""
    return _bare(text).strip()


def printable_lines(text: str) -> str:
    """The same for text of several lines, whose line ends and indents stay."""
    return "\n".join(_bare(line) for line in text.expandtabs().splitlines())


def _bare(text: str) -> str:
    return _CONTROLS.sub(" ", _INVISIBLE.sub("", _ESCAPES.sub("", text)))


def middle_cut(text: str, width: int) -> str:
    """``text`` in at most ``width`` columns; what goes is its middle, since ids differ at both ends."""
    if len(text) <= width:
        return text
    if width <= 1:
        return "…"[:width]
    head = (width - 1) // 2
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"
