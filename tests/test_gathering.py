from __future__ import annotations

from pathlib import Path

import pytest

from pytest_inferbench.errors import EngineError
from pytest_inferbench.gathering import Gathering, _in_flags_of_pytest


def test_a_step_of_the_end_that_fails_lets_the_next_one_be_taken(pytestconfig: pytest.Config) -> None:
    gathering = Gathering(pytestconfig, is_worker=False, run_folder=Path)

    def fail() -> None:
        raise EngineError("cannot be ended")

    gathering.or_trouble(fail)
    assert gathering.troubles == ["cannot be ended"]


def test_notes_speak_of_the_flags_of_this_command() -> None:
    assert _in_flags_of_pytest("give one with --tokenizer PATH") == "give one with --inferbench-tokenizer PATH"
    assert _in_flags_of_pytest("take it (--extra-body)") == "take it (the suite's extra_body)"
