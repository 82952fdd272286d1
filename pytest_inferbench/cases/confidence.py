"""How sure a verdict has to be, as people write it: 0.95, 95%, or ``observed``."""

from __future__ import annotations

from math import isfinite

from pytest_inferbench.errors import ConfigError

CONFIDENCE = 0.95
OBSERVED = "observed"
"""In words, that no confidence is asked: the figures as seen are held against the limits. The number for it is 0."""


def confidence_of(value: object) -> float:
    """
    A confidence between a half and 1, or 0 for ``observed``.

    Raises:
        ConfigError: it is neither; says what would be.
    """
    if isinstance(value, str) and value.strip().lower() == OBSERVED:
        return 0.0
    number = _number(value)
    if number is None or not (0.5 < number < 1):
        raise ConfigError(
            f"must be between 0.5 and 1, such as 0.95, or {OBSERVED} (the figures as seen, however few requests there were), "
            f"not {value!r}"
        )
    return number


def confidence_text(confidence: float) -> str:
    """As people read it: ``95 %``, or ``observed``."""
    return f"{confidence * 100:.6g} %" if confidence else OBSERVED


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(str(value).removesuffix("%"))
    except ValueError:
        return None
    return number / 100 if str(value).endswith("%") else number if isfinite(number) else None
