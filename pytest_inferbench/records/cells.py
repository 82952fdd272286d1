"""Text in the cells of a CSV file that people open in a spreadsheet."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_FORMULA = re.compile(r" *[=+\-@|%]")


def cell(text: str) -> str:
    """
    A text as it may stand in a CSV cell, before quoting.

    Control characters become visible, so that a row stays a line; a text that a spreadsheet would take for a formula gets an
    apostrophe in front (OWASP, CSV injection).
    """
    visible = _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    return f"'{visible}" if _FORMULA.match(visible) else visible
