"""
Sending again what a record says was sent: the same case, seeds and fields, and so the same bytes at the same instants.

Rule: whether it is the same is never taken on trust. The plan is made anew, and its hash must be the recorded one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pytest_inferbench.cases.case import Case
from pytest_inferbench.errors import LoadError, RecordError
from pytest_inferbench.load.plan import Recipe
from pytest_inferbench.load.seeds import Seeds
from pytest_inferbench.records.files import read_json
from pytest_inferbench.records.manifest import MANIFEST_FILE
from pytest_inferbench.records.reader import read_record
from pytest_inferbench.records.record import Planned
from pytest_inferbench.records.writer import SUMMARY_FILE

_PACKAGES = ("numpy", "orjson", "pillow", "pyarrow", "pytest-inferbench", "tokenizers")
"""What the bytes and instants of a plan depend on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """
    What a record says was sent.

    ``model`` is the name that requests carried, ``extra_body`` what was added to each, ``packages`` the version of every package
    that was installed.
    """

    folder: Path
    case: Case
    planned: Planned
    model: str
    extra_body: Mapping[str, Any]
    packages: Mapping[str, str]

    def recipe(self, now: Recipe) -> Recipe:
        """The recipe of today with the seeds and the added fields of then."""
        seeds = Seeds(seed=self.planned.seed, salt=self.planned.salt)
        return replace(now, seeds=seeds, extra_body=dict(self.extra_body))

    def refuse_other(self, recipe: Recipe, sha256: str) -> None:
        """
        Refuse a plan that is not the recorded one.

        Raises:
            LoadError: its hash is another; says what has changed since.
        """
        if sha256 == self.planned.sha256:
            return
        changes = ", ".join(self._changes(recipe)) or (
            "nothing on record is: has a data set, a trace, or the tokenizer's file been changed?"
        )
        raise LoadError(
            f"the plan made now is not the one in {self.folder} (sha256 {sha256[:12]} now, {self.planned.sha256[:12]} then), "
            f"so nothing was sent; different since then: {changes}"
        )

    def _changes(self, recipe: Recipe) -> Iterator[str]:
        then, now = self.case, recipe.case
        pairs: dict[str, tuple[Any, Any]] = {
            "suite": (then.suite, now.suite),
            "traffic": (then.traffic.text, now.traffic.text),
            "load": (then.load.label, now.load.label),
            "requests": (then.load.requests, now.load.requests),
            "warmup": (then.load.warmup, now.load.warmup),
            "api": (then.api, now.api),
            "model": (self.model, recipe.model),
            "tokenizer": (self.planned.tokenizer, recipe.counter.name),
            **{name: (self.packages.get(name, "none"), _version(name)) for name in _PACKAGES},
        }
        for name, (before, after) in pairs.items():
            if before != after:
                yield f"{name} {before} then, {after} now"
        if then.traffic != now.traffic and then.traffic.text == now.traffic.text:
            yield "what stands beside the traffic (prefix, turns, cache, data set ...)"
        if then.api_options != now.api_options:
            yield "the options of the API"


def recorded_cases(path: Path) -> dict[str, Recorded]:
    """
    What was sent, by the id of the case, from the folder of a run or of one case; of several measurements of a case the first.

    Raises:
        RecordError: there is no case in it that came so far as to be planned, or one cannot be read.
    """
    found: dict[str, Recorded] = {}
    folders = [path, *sorted(each for each in path.iterdir() if each.is_dir())] if path.is_dir() else []
    for folder in folders:
        if (folder / MANIFEST_FILE).is_file() and (folder / SUMMARY_FILE).is_file():
            recorded = _recorded(folder)
            found.setdefault(recorded.case.id, recorded)
    if not found:
        raise RecordError(f"{path} holds no case that was planned; give the folder of a run, or of one of its cases")
    return found


def _recorded(folder: Path) -> Recorded:
    record = read_record(folder)
    path = folder / MANIFEST_FILE
    manifest = read_json(path)
    try:
        packages, extra_body = manifest["environment"]["packages"], manifest["extra_body"]
        usable = isinstance(packages, dict) and isinstance(extra_body, dict)
    except (KeyError, TypeError):
        usable = False
    if not usable or record.planned is None or record.served is None:
        raise RecordError(f"{path} does not say what was sent; was it written by this version of pytest-inferbench?")
    return Recorded(
        folder=folder,
        case=record.case,
        planned=record.planned,
        model=record.served.model,
        extra_body=extra_body,
        packages=packages,
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
