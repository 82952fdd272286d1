from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.records.history.place import data_folder, file_of, shown, store_url

HERE = {"XDG_DATA_HOME": "/data"}


def test_the_default_is_a_file_in_the_users_data_folder() -> None:
    assert store_url(None, HERE) == "sqlite:////data/pytest-inferbench/history.sqlite"
    assert store_url("", HERE) == store_url(None, HERE)


@pytest.mark.parametrize("told", [{}, {"XDG_DATA_HOME": ""}, {"XDG_DATA_HOME": "relative"}])
def test_without_an_absolute_data_home_it_is_in_the_home(told: dict[str, str]) -> None:
    assert data_folder(told) == Path.home() / ".local" / "share" / "pytest-inferbench"


def test_what_is_asked_for_goes_before_the_environment() -> None:
    told = HERE | {"INFERBENCH_STORE": "sqlite:////there.sqlite"}
    assert store_url(None, told) == "sqlite:////there.sqlite"
    assert store_url("sqlite:////asked.sqlite", told) == "sqlite:////asked.sqlite"


@pytest.mark.parametrize("word", ["none", "None", "NONE"])
def test_none_switches_it_off(word: str) -> None:
    assert store_url(word, HERE) is None
    assert store_url(None, {"INFERBENCH_STORE": word}) is None


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_goes_by_its_usual_names(scheme: str) -> None:
    assert store_url(f"{scheme}://me@host/db", HERE) == "postgresql+psycopg://me@host/db"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("history.sqlite", "--inferbench-store: 'history.sqlite' is no URL of a database; such as sqlite:////home/me/"),
        (
            "mysql://me@host/db",
            "mysql is no database that a history can be in; such as sqlite:////home/me/history.sqlite, postgres",
        ),
        ("sqlite://", "sqlite:// names no file, and what is in memory is no history"),
    ],
)
def test_what_is_no_database_is_refused_and_what_would_be_one_is_said(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        store_url(text, HERE)


def test_the_environment_is_named_where_it_is_wrong() -> None:
    with pytest.raises(ConfigError, match=r"^INFERBENCH_STORE: 'nonsense' is no URL"):
        store_url(None, {"INFERBENCH_STORE": "nonsense"})


def test_a_password_is_never_shown() -> None:
    url = "postgresql+psycopg://me:geheim@host:5432/db?password=geheim2"
    assert shown(url) == "postgresql://REDACTED@host:5432/db?password=REDACTED"
    with pytest.raises(ConfigError) as told:
        store_url("mysql+x:me:geheim@host", HERE)
    assert "x" in str(told.value)


def test_a_file_is_shown_as_a_path() -> None:
    assert file_of("sqlite:////data/h.sqlite") == Path("/data/h.sqlite")
    assert file_of("sqlite:///h.sqlite") == Path("h.sqlite")
    assert file_of("postgresql://host/db") is None
    assert shown("sqlite:////data/h.sqlite") == "/data/h.sqlite"
