"""
Cases that need a Kubernetes cluster: their manifests are written down, and what they need is said; nothing is applied.

Rule: manifests that are there are never written again, so that what was applied by hand can be told from what would be today.
"""

from __future__ import annotations

import json
from pathlib import Path

from pytest_inferbench.cases.case import Case, Cluster
from pytest_inferbench.errors import ConfigError, RecordError

FOLDER = "manifests"


def needed(case: Case, *, endpoint: str | None) -> Cluster | None:
    """What a case needs of a cluster; nothing where it is simulated, or its gateway is there already."""
    return None if case.simulated or endpoint is not None else case.cluster


def snapshot(cluster: Cluster, *, place: Path, run_id: str) -> str:
    """
    Write the manifests into a folder, and say what cluster they need and how they are applied.

    Raises:
        ConfigError: nobody knows how to make manifests of this kind, or what they are made from is incomplete.
        RecordError: they could not be written.
    """
    files, needs = _made(cluster, run_id)
    try:
        place.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            _write_once(place / name, text)
    except OSError as error:
        raise RecordError(f"the manifests could not be written to {place}: {error.strerror or error}") from error
    applied = " ".join(f"-f {place / name}" for name in files)
    return f"{needs} Apply its manifests (kubectl apply {applied}), then name its gateway: --inferbench-endpoint URL"


def _made(cluster: Cluster, run_id: str) -> tuple[dict[str, str], str]:
    from pytest_inferbench.cases.formats import gateway_manifests, gie  # noqa: PLC0415 - only who has such a case needs them

    if cluster.kind != gie.KIND:
        raise ConfigError(f"no manifests are known for a cluster of kind {cluster.kind!r}; known: {gie.KIND}")
    settings = json.loads(cluster.settings)
    return gateway_manifests.manifests(settings, run_id=run_id), gateway_manifests.needs(settings)


def _write_once(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return
    path.chmod(0o444)
