"""JSON objects, one a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.load.datasets.opening import opened, problem, samples, user


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file"


def test_json_lines_are_rows(file: Path) -> None:
    file.write_text('{"prompt": "a", "max_tokens": 3}\n\n{"messages": [{"role": "user", "content": "b"}]}\n')
    assert samples(opened(file, "jsonl")) == [user("a", output_tokens=3), user("b")]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('{"prompt": ', "is not JSON: unexpected end of data at column 12"),
        ("[1]", "is JSON, but no object with fields"),
        ('{"text": 1}', 'has neither prompt nor messages; say what makes it, such as prompt: "{text}"; there are text'),
    ],
)
def test_every_json_line_is_looked_at_before_any_is_sent(file: Path, line: str, what: str) -> None:
    file.write_text(f'{{"prompt": "fine"}}\n\n{line}\n')
    assert problem(file, "jsonl") == f"/file:3: {what}"
