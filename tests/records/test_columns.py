"""The columns that scripts rely on, and the page that explains them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_inferbench.records.columns import EVENT_COLUMNS, REQUEST_COLUMNS, Column

DOCS = Path(__file__).parents[2] / "docs" / "records.md"
PROMISED = [
    "request_id", "enqueue_time", "send_time", "first_byte_time", "end_time", "prompt_tokens", "resp_tokens", "bytes_received",
    "status", "error", "intended_send_ns", "send_ns", "first_byte_ns", "first_token_ns", "last_token_ns", "end_ns", "clock",
]  # fmt: skip


def test_the_first_columns_are_the_promised_ones_in_their_order() -> None:
    assert [column.name for column in REQUEST_COLUMNS][: len(PROMISED)] == PROMISED


def test_no_column_has_the_name_of_another() -> None:
    names = [column.name for column in (*REQUEST_COLUMNS, *EVENT_COLUMNS)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("column", [*REQUEST_COLUMNS, *EVENT_COLUMNS], ids=lambda column: column.name)
def test_the_documentation_names_every_column_with_its_unit(column: Column) -> None:
    assert f"| `{column.name}` | {column.unit} | {column.meaning} |" in DOCS.read_text()
