"""
Where the history is: which database, and which folder of the user.

Rule: a URL may hold a password. Whatever is shown, written or compared is `shown`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.redaction import redact_url

STORE_VARIABLE = "INFERBENCH_STORE"
OFF = "none"
_FILE = "history.sqlite"
_FORMS = "sqlite:////home/me/history.sqlite, postgresql://me@host/benchmarks, or none for no history"
_DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}
_KNOWN = ("sqlite", "postgresql+psycopg")


def data_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The user's folder for data of ours: ``$XDG_DATA_HOME/pytest-inferbench``, in ``~/.local/share`` without that variable."""
    told = environment.get("XDG_DATA_HOME", "")
    # The XDG specification: a relative path is as good as none.
    base = Path(told) if Path(told).is_absolute() else Path.home() / ".local" / "share"
    return base / "pytest-inferbench"


def store_url(asked: str | None = None, environment: Mapping[str, str] = os.environ) -> str | None:
    """
    The database that is meant: the one asked for, else ``INFERBENCH_STORE``, else a file in `data_folder`; None for ``none``.

    Raises:
        ConfigError: it is no URL, or of a database that is not supported; says what one looks like.
    """
    given = asked or environment.get(STORE_VARIABLE, "").strip()
    where = "--inferbench-store" if asked else STORE_VARIABLE
    if not given:
        return f"sqlite:///{data_folder(environment) / _FILE}"
    if given.lower() == OFF:
        return None
    scheme, found, rest = given.partition("://")
    if not found:
        raise ConfigError(f"{redact_url(given)!r} is no URL of a database; such as {_FORMS}", file=where)
    scheme = _DRIVERS.get(scheme, scheme)
    if scheme not in _KNOWN:
        raise ConfigError(f"{scheme} is no database that a history can be in; such as {_FORMS}", file=where)
    url = f"{scheme}://{rest}"
    if file_of(url) is not None and not rest.partition("?")[0].strip("/"):
        raise ConfigError(f"{given} names no file, and what is in memory is no history; such as {_FORMS}", file=where)
    return url


def file_of(url: str) -> Path | None:
    """The file of an SQLite database; None for a server."""
    if not url.startswith("sqlite:"):
        return None
    path = url.partition("://")[2].partition("?")[0].removeprefix("/")
    return Path(path)


def shown(url: str) -> str:
    """The URL as it may be shown."""
    file = file_of(url)
    return str(file) if file is not None else redact_url(url.replace("+psycopg", "", 1))
