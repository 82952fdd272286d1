from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_inferbench.reporting.environment_facts import environment_html, environment_of
from tests.reporting.examples import HOSTILE
from tests.reporting.test_case_page import Page

ENVIRONMENT = {
    "cpu_model": "A Processor",
    "cores": 8,
    "cores_usable": 2,
    "memory_bytes": 24 * 1024**3,
    "platform": "Linux-6.1",
    "python": "CPython 3.11.2",
    "packages": {"numpy": "2.1", "pytest": "9.0"},
    "git": {"commit": "0123456789abcdef", "branch": "main", "dirty": True},
}


def test_the_machine_is_that_of_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"environment": ENVIRONMENT, "client_version": "1.2"}), encoding="utf-8")
    text = Page(environment_html(environment_of(tmp_path))).text
    for words in (
        "A Processor",
        "2 of 8",
        "24.0 GiB",
        "Linux-6.1",
        "CPython 3.11.2",
        "0123456789ab on main, with changes",
        "numpy 2.1",
        "1.2",
    ):
        assert words in text, words


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"environment": 3}', "{"])
def test_a_manifest_that_says_nothing_is_no_trouble(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
    assert environment_html(environment_of(tmp_path)) == ""


def test_names_of_packages_are_only_words() -> None:
    page = Page(environment_html({"cpu_model": HOSTILE, "packages": {HOSTILE: HOSTILE}, "git": {"commit": None}}))
    assert not {"img", "script"} & page.names()
