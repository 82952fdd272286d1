"""
What was about to be measured, written before the load starts.

Rule: a manifest is written once and never changed. What came of it stands in ``summary.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_inferbench.cases.case import Case
from pytest_inferbench.metrics.registry import definitions
from pytest_inferbench.records.codec import encode
from pytest_inferbench.records.environment import Environment
from pytest_inferbench.records.files import write_json_once
from pytest_inferbench.records.record import SCHEMA_VERSION, Planned, Served
from pytest_inferbench.records.redact import redact_case, redact_served, without_secrets

MANIFEST_FILE = "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """
    Everything that is known of a case before its load starts.

    ``client_version`` is pytest-inferbench's own; ``extra_body`` what is added to every request; ``started_at`` is ISO 8601
    with a zone.
    """

    run_id: str
    node_id: str
    case: Case
    simulated: bool
    served: Served
    planned: Planned
    environment: Environment
    client_version: str
    started_at: str
    extra_body: Mapping[str, Any] = field(default_factory=dict)


def manifest_json(manifest: Manifest) -> dict[str, Any]:
    """The manifest as plain JSON types, secrets taken out, with the definition and unit of every metric."""
    case = redact_case(manifest.case)
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": manifest.run_id,
        "node_id": manifest.node_id,
        "started_at": manifest.started_at,
        "simulated": manifest.simulated,
        "client_version": manifest.client_version,
        "case": encode(case),
        "axes": encode(case.axes),
        "server_key": manifest.case.server_key,
        "served": encode(redact_served(manifest.served)),
        "extra_body": without_secrets(encode(manifest.extra_body)),
        "planned": encode(manifest.planned),
        "environment": encode(manifest.environment),
        "metrics": definitions(),
    }


def write_manifest(folder: Path, manifest: Manifest) -> Path:
    """
    Write ``manifest.json`` into a case's folder, read-only.

    Raises:
        RecordError: there is one already, or it could not be written.
    """
    path = folder / MANIFEST_FILE
    write_json_once(path, manifest_json(manifest))
    return path
