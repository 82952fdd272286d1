"""
Secrets in other systems' configurations: each becomes a reference to the environment, ``${NAME}``.

Rule: the value of a secret is dropped here, at once, and is in no suite, note or message. Whoever runs the suite sets the
variable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pytest_inferbench.redaction import is_secret_name, redact_text

_REFERENCE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_PLACEHOLDER = re.compile(r"<[^<>]*>|your[-_ ][\w -]*|changeme|xxx+", re.IGNORECASE)


def is_placeholder(value: str) -> bool:
    """Whether a value stands for one that a person is to fill in: ``<your-token>``, ``your_api_key``."""
    return bool(_PLACEHOLDER.fullmatch(value.strip()))


def without_secrets(env: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """
    Environment variables with every secret, and every value to fill in, as a reference to a variable of the same name.

    The second is a note about each.
    """
    kept: dict[str, str] = {}
    notes = []
    for name, value in env.items():
        if _REFERENCE.fullmatch(value):
            kept[name] = value
        elif is_placeholder(value):
            kept[name] = f"${{{name}}}"
            notes.append(f"{name} is to be filled in: it is read from the environment")
        elif is_secret_name(name, value) or redact_text(value) != value:
            kept[name] = f"${{{name}}}"
            notes.append(f"the value of {name} is a secret and is not taken over: it is read from the environment")
        else:
            kept[name] = value
    return kept, tuple(notes)
