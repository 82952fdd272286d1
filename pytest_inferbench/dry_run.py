"""
What would be run, written down without running it: the server's command line or container, the plan, and what it would cost.

Rule: nothing is started and nobody is asked. What is not known before (a port, which GPUs, a rate that a sweep finds) is said to
be so, and never made up.

The estimate is that of `grouping.member_of`, which the order of cases comes from: a start-up time for each server, and for each
case how long its requests take at the speed of an ordinary server. It may well be wrong by a factor of two.
GPU-hours = the sum over servers of GPUs * (start-up + the time of its cases) / 3600.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pytest_inferbench.attempt import planned_by
from pytest_inferbench.cases.case import Case
from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.engines import registry
from pytest_inferbench.engines.engine import ServerSpec, TokenizerRef
from pytest_inferbench.engines.simulated import as_asked
from pytest_inferbench.errors import InferbenchError
from pytest_inferbench.grouping import member_of
from pytest_inferbench.launch.docker_config import Given, create_body, shown_command
from pytest_inferbench.launch.ownership import labels_for
from pytest_inferbench.launch.pool import Attachment
from pytest_inferbench.launch.share import cores_of
from pytest_inferbench.load.plan import make_plan
from pytest_inferbench.load.recipe import Recipe
from pytest_inferbench.load.seeds import Seeds
from pytest_inferbench.load.tokens import counter_for
from pytest_inferbench.records.environment import Environment
from pytest_inferbench.records.files import write_json_once
from pytest_inferbench.records.manifest import MANIFEST_FILE, Manifest, manifest_json
from pytest_inferbench.records.record import Planned, Served
from pytest_inferbench.redaction import redact_argv, redact_env, redact_text, redact_url
from pytest_inferbench.units import format_duration

_NO_TOKENIZER = TokenizerRef(kind="none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """
    What holds for every case of the run that is described.

    Attributes:
        run_id: its id.
        seeds: those that its plans would have; the salt is another one in each run, unless a seed was asked for.
        environment: the machine.
        attachment: the server that is already there; None: servers would be started.
    """

    run_id: str
    seeds: Seeds
    environment: Environment
    attachment: Attachment | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DryCase:
    """
    What would be run for a case.

    Attributes:
        server: of its server: launcher, command line, and what its container would be created from; secrets are references.
        planned: None where it cannot be planned before; ``trouble`` or ``unknown`` then says why.
        startup_s, case_s: estimates, in seconds; no start-up for a server that is already there.
        gpus: how many its server needs.
        trouble: why it could not be run here, as far as that can be seen without starting anything.
        unknown: what only measuring finds out.
    """

    case: Case
    server: Mapping[str, Any]
    planned: Planned | None
    startup_s: float
    case_s: float
    gpus: int
    trouble: str | None = None
    unknown: str | None = None


def describe(case: Case, *, node_id: str, folder: Path, setting: Setting) -> DryCase:
    """
    Write what would be run into ``manifest.json`` of the case's folder, marked with ``"dry_run": true``.

    Raises:
        RecordError: it could not be written.
    """
    dry = _described(case, setting)
    manifest = Manifest(
        run_id=setting.run_id,
        node_id=node_id,
        started_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        simulated=case.simulated,
        case=case,
        served=_served(dry, setting),
        planned=dry.planned or Planned(seed=setting.seeds.seed, salt=setting.seeds.salt, sha256="", requests=None, tokenizer=""),
        environment=setting.environment,
        client_version=version("pytest-inferbench"),
    )
    estimate = {"startup_s": dry.startup_s, "case_s": dry.case_s, "gpus": dry.gpus, "gpu_hours": gpu_hours([dry])}
    more = {"server": dict(dry.server), "estimate": estimate, "trouble": dry.trouble, "unknown": dry.unknown}
    write_json_once(folder / MANIFEST_FILE, {"dry_run": True, **manifest_json(manifest), **more})
    return dry


def gpu_hours(cases: Sequence[DryCase]) -> float:
    """The sum over servers of GPUs * (start-up + the time of its cases) / 3600; an estimate."""
    servers = {each.case.server_key: each for each in cases}
    seconds = sum(each.gpus * each.case_s for each in cases) + sum(each.gpus * each.startup_s for each in servers.values())
    return seconds / 3600


def summary_lines(cases: Sequence[DryCase]) -> list[str]:
    """A table of the cases, and what they would cost together."""
    if not cases:
        return ["nothing would be run"]
    rows = [("case", "server", "GPUs", "requests", "about"), *(_row(each) for each in cases)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4])) for row in rows]
    for each in cases:
        lines += [f"{each.case.id}: {why}" for why in (each.trouble, each.unknown) if why]
    servers = {each.case.server_key: each for each in cases}
    total_s = sum(each.case_s for each in cases) + sum(each.startup_s for each in servers.values())
    in_all = f"{_count(len(cases), 'case')}, {_count(len(servers), 'server')}: about {_rounded(total_s)} one after the other"
    return [*lines, f"{in_all}, {gpu_hours(cases):.2g} GPU-hours; an estimate. Nothing was started."]


def _described(case: Case, setting: Setting) -> DryCase:
    member = member_of(case)
    startup_s = 0.0 if setting.attachment is not None else member.startup_s
    gpus = 0 if setting.attachment is not None else case.gpus
    server: Mapping[str, Any] = {"launcher": "attached"}
    planned, trouble, unknown = None, None, None
    try:
        spec = None if setting.attachment is not None else as_asked(registry.engine(case.engine.name), case).server(case)
        if spec is not None:
            server = _server(spec, case, run_id=setting.run_id)
        if case.load.swept:
            unknown = "its rate comes from the two ends of its sweep, when they are measured"
        elif case.load.search is not None:
            unknown = f"its level is searched for while it is measured, with {case.load.requests} requests at a time or more"
        else:
            planned = _planned(_recipe(case, spec, setting))
    except InferbenchError as error:
        trouble = redact_text(str(error))
    return DryCase(
        case=case,
        server=server,
        planned=planned,
        startup_s=startup_s,
        case_s=member.case_s,
        gpus=gpus,
        trouble=trouble,
        unknown=unknown,
    )


def _server(spec: ServerSpec, case: Case, *, run_id: str) -> dict[str, Any]:
    env = dict(redact_env(spec.env))
    if spec.launcher == "process":
        command = [redact_text(part) for part in redact_argv(spec.argv)]
        return {"launcher": "process", "command": command, "env": env, "cores": sorted(cores_of(spec.share))}
    # Which GPUs it will be is known when they are leased.
    gpus = tuple(Gpu(index=i, uuid=f"<leased GPU {i}>", name=case.hardware) for i in range(case.gpus))
    given = Given(
        name=f"inferbench-{run_id}-{spec.key}",
        labels=labels_for(run_id, spec.key),
        env=env,
        volumes=spec.container.volumes,
        gpus=gpus,
        cores=cores_of(spec.share),
    )
    create = create_body(spec, given)
    create["Cmd"] = list(redact_argv(create["Cmd"]))
    return {"launcher": "docker", "command": list(shown_command(spec, given)), "create": create}


def _recipe(case: Case, spec: ServerSpec | None, setting: Setting) -> Recipe:
    at = setting.attachment
    if spec is None:
        tokenizer = (at.tokenizer if at is not None else None) or _NO_TOKENIZER
        model, extra_body = (at.model if at is not None else None) or case.model, {}
    else:
        cached = spec.cache_body if case.traffic.wants_cache else {}
        tokenizer, model, extra_body = spec.model.tokenizer, spec.model.served_name, {**spec.extra_body, **cached}
    body = {**extra_body, **json.loads(case.extra_body or "{}")}
    return Recipe(case=case, model=model, extra_body=body, seeds=setting.seeds, counter=counter_for(tokenizer))


def _planned(recipe: Recipe) -> Planned:
    plan = make_plan(recipe)
    try:
        return planned_by(plan, recipe.seeds)
    finally:
        plan.close()


def _served(dry: DryCase, setting: Setting) -> Served:
    at = setting.attachment
    return Served(
        engine=dry.case.engine.name,
        engine_version=None,
        model=(at.model if at is not None else None) or dry.case.model,
        url=redact_url(at.url) if at is not None else "",
        command=tuple(dry.server.get("command", ())),
        log=None,
        started_in_s=None,
    )


def _row(dry: DryCase) -> tuple[str, str, str, str, str]:
    requests = "?" if dry.planned is None or dry.planned.requests is None else str(dry.planned.requests)
    gpus = f"{dry.gpus} x {dry.case.hardware}" if dry.gpus else "-"
    return dry.case.id, dry.case.server_key, gpus, requests, _rounded(dry.case_s)


def _rounded(seconds: float) -> str:
    return format_duration(float(max(1, round(seconds))))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
