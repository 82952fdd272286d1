"""References to environment variables, ``${NAME}``: how suites speak of secrets without holding them."""

from __future__ import annotations

import re

REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def referenced(value: str | None) -> str | None:
    """The variable's name where the value is one reference and nothing else, else None."""
    found = REFERENCE.fullmatch(value or "")
    return found[1] if found else None
