"""How sure a verdict has to be, as people write it."""

from __future__ import annotations

import pytest

from pytest_inferbench.cases.confidence import confidence_of, confidence_text
from pytest_inferbench.errors import ConfigError


@pytest.mark.parametrize(
    ("written", "meant"), [(0.95, 0.95), ("99%", 0.99), ("0.9", 0.9), ("observed", 0.0), (" Observed ", 0.0)]
)
def test_a_share_a_percentage_and_a_word_are_read(written: object, meant: float) -> None:
    assert confidence_of(written) == pytest.approx(meant)


@pytest.mark.parametrize("written", [0, 0.5, 1, 95, "95", "sure", True, None, "nan", float("inf")])
def test_anything_else_is_refused_with_what_would_be_right(written: object) -> None:
    with pytest.raises(ConfigError, match=r"must be between 0\.5 and 1, such as 0\.95, or observed"):
        confidence_of(written)


def test_it_is_shown_as_it_is_said() -> None:
    assert [confidence_text(each) for each in (0.95, 0.999, 0.0)] == ["95 %", "99.9 %", "observed"]
