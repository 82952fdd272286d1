"""
The parts of a record that people wrote or servers said, without secrets.

Rule: `codec.to_json` and `writer` pass everything through here; there is no other door to the disk.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from pytest_inferbench.cases.case import ApiOptions, Case, EngineSpec, Scalar
from pytest_inferbench.engines.references import REFERENCE
from pytest_inferbench.load.audit import Finding
from pytest_inferbench.objectives.verdict import Verdict
from pytest_inferbench.records.record import Record, Served
from pytest_inferbench.redaction import MASK, is_secret_name, redact_argv, redact_env, redact_text, redact_url


def redact_record(record: Record) -> Record:
    """The record as it may be written; redacting it again changes nothing."""
    return replace(
        record,
        case=redact_case(record.case),
        verdict=_redact_verdict(record.verdict),
        findings=tuple(_redact_finding(finding) for finding in record.findings),
        served=None if record.served is None else redact_served(record.served),
        error=None if record.error is None else redact_text(record.error),
        again=redact_text(record.again),
    )


def redact_case(case: Case) -> Case:
    """The case without secrets in its engine's options and environment, a model's URL, or the body."""
    extra_body, options = _redact_json(case.extra_body), _redact_options(case.api_options)
    engine, model = _redact_engine(case.engine), redact_url(case.model)
    return replace(case, engine=engine, model=model, extra_body=extra_body, api_options=options)


def redact_served(served: Served) -> Served:
    """Who answered, without secrets in the URL and the command line."""
    return replace(served, url=redact_url(served.url), command=redact_argv(served.command))


def without_secrets(value: Any) -> Any:
    """Plain JSON types with every text and number under a secret's name masked, however deep it lies."""
    if isinstance(value, dict):
        return {name: _masked(name, each) for name, each in value.items()}
    if isinstance(value, list):
        return [without_secrets(each) for each in value]
    return redact_text(value) if isinstance(value, str) else value


def _masked(name: str, value: Any) -> Any:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return MASK if value != "" and is_secret_name(name, str(value)) else without_secrets(value)
    return without_secrets(value)


def _redact_json(text: str) -> str:
    """JSON as text, which stays JSON; what is none is free text."""
    try:
        value = json.loads(text)
    except ValueError:
        return redact_text(text)
    clean = without_secrets(value)
    return text if clean == value else json.dumps(clean)


def _redact_engine(engine: EngineSpec) -> EngineSpec:
    args = tuple((name, _redact_value(name, value)) for name, value in engine.args)
    container = engine.container
    if container.options:
        container = replace(container, options=_redact_json(container.options))
    return replace(engine, args=args, env=redact_env(engine.env), container=container)


def _redact_options(options: ApiOptions) -> ApiOptions:
    headers = tuple((name, _redact_header(name, value)) for name, value in options.headers)
    path = None if options.path is None else redact_url(options.path)
    return replace(options, headers=headers, path=path, body=_redact_json(options.body) if options.body else "")


def _redact_header(name: str, value: str) -> str:
    # "Bearer ${KEY}" says how to do the same again, and holds nothing.
    return redact_text(value) if REFERENCE.search(value) else redact_env([(name, value)])[0][1]


def _redact_value(name: str, value: Scalar | None) -> Scalar | None:
    if value is None or isinstance(value, bool):
        return value
    if not isinstance(value, str):
        return MASK if is_secret_name(name, str(value)) else value
    return redact_env([(name, value)])[0][1]


def _redact_verdict(verdict: Verdict) -> Verdict:
    judgements = tuple(replace(judgement, reason=redact_text(judgement.reason)) for judgement in verdict.judgements)
    return replace(verdict, judgements=judgements, reasons=tuple(redact_text(reason) for reason in verdict.reasons))


def _redact_finding(finding: Finding) -> Finding:
    return replace(finding, what=redact_text(finding.what), advice=redact_text(finding.advice))
