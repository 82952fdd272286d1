"""The machine that drove a case's load, as its manifest says."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

from pytest_inferbench.redaction import redact_text
from pytest_inferbench.reporting.figures import count, printable, quantity

_MANIFEST = "manifest.json"
_GIB = 1024**3


def environment_of(folder: Path) -> dict[str, Any]:
    """What the manifest of a case says of its environment; empty where there is none, or it cannot be read."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    found = manifest.get("environment") if isinstance(manifest, dict) else None
    if not isinstance(found, dict):
        return {}
    client = manifest.get("client_version")
    return {**found, "client_version": client} if isinstance(client, str) else found


def environment_html(environment: dict[str, Any]) -> str:
    """Facts and the list of packages; empty where nothing is known."""
    if not environment:
        return ""
    facts = {
        "CPU": environment.get("cpu_model"),
        "cores": _cores(environment),
        "memory": _memory(environment.get("memory_bytes")),
        "system": environment.get("platform"),
        "Python": environment.get("python"),
        "pytest-inferbench": environment.get("client_version"),
        "commit": _commit(environment.get("git")),
    }
    listed = "".join(f"<div><dt>{name}</dt><dd>{_words(value)}</dd></div>" for name, value in facts.items() if value)
    return f'<h4>The machine that sent the load</h4><dl class="ib-facts">{listed}</dl>{_packages(environment.get("packages"))}'


def _packages(packages: object) -> str:
    if not isinstance(packages, dict) or not packages:
        return ""
    names = ", ".join(f"{_words(name)} {_words(version)}" for name, version in packages.items())
    return f'<details><summary>{count(len(packages))} installed packages</summary><p class="ib-packages">{names}</p></details>'


def _cores(environment: dict[str, Any]) -> str | None:
    cores, usable = environment.get("cores"), environment.get("cores_usable")
    if cores is None:
        return None
    return f"{cores}" if usable in {None, cores} else f"{usable} of {cores}"


def _memory(value: object) -> str | None:
    return quantity(value / _GIB, "GiB") if isinstance(value, int) else None


def _commit(git: object) -> str | None:
    if not isinstance(git, dict) or not git.get("commit"):
        return None
    branch = f" on {git['branch']}" if git.get("branch") else ""
    return f"{str(git['commit'])[:12]}{branch}{', with changes' if git.get('dirty') else ''}"


def _words(value: object) -> str:
    return escape(printable(redact_text(str(value))))
