from __future__ import annotations

import pytest

from pytest_inferbench import errors
from pytest_inferbench.errors import ConfigError, InferbenchError


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ({}, "is wrong"),
        ({"file": "a.bench.yaml"}, "a.bench.yaml: is wrong"),
        ({"file": "a.bench.yaml", "line": 3}, "a.bench.yaml:3: is wrong"),
        ({"file": "a.bench.yaml", "line": 3, "field": "matrix.model"}, "a.bench.yaml:3: matrix.model: is wrong"),
        ({"field": "slo[0]"}, "slo[0]: is wrong"),
        ({"line": 3}, "is wrong"),
    ],
)
def test_a_mistake_names_what_is_known_of_its_place(place: dict[str, str | int], text: str) -> None:
    error = ConfigError("is wrong", **place)  # type: ignore[arg-type]  # one argument at a time, each of its own type
    assert str(error) == text
    assert error.problem == "is wrong"


def test_every_error_of_ours_is_caught_as_one() -> None:
    found = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert len(found) == 9
    assert all(issubclass(error, InferbenchError) for error in found)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = [line.strip("│├└─ ").split()[0] for line in (errors.__doc__ or "").splitlines() if line[:1] in "│├└" and line]
    assert sorted(drawn) == sorted(
        name for name, value in vars(errors).items() if isinstance(value, type) and name != "InferbenchError"
    )
