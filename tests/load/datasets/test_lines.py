"""Plain prompts, one a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.load.datasets.opening import opened, problem, samples, user


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file"


def test_lines_are_prompts(file: Path) -> None:
    file.write_text("first prompt\n\nsecond\n")
    assert samples(opened(file, "lines")) == [user("first prompt"), user("second")]
    assert opened(file, "lines", output_tokens=7).sample(0) == user("first prompt", output_tokens=7)


@pytest.mark.parametrize(("option", "field"), [("prompt", "prompt"), ("output_field", "output_tokens")])
def test_lines_have_no_fields(file: Path, option: str, field: str) -> None:
    file.write_text("x\n")
    expected = f"dataset.{field}: '{{a}}' asks for fields, and a line has none; use format: jsonl"
    assert problem(file, "lines", **{option: "{a}"}) == expected
