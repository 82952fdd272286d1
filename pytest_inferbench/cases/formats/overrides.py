"""
What a person lays over another system's configuration for one run: ``engine=llamacpp,model=smollm2-135m``.

Rule: an override says what it replaces, and takes away what only made sense with that: another engine has neither the arguments
nor the image of the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pytest_inferbench.cases.catalogue import did_you_mean
from pytest_inferbench.cases.formats.format import Imported
from pytest_inferbench.errors import ConfigError

OPTION = "--inferbench-override"
ON_CPU = ("llamacpp",)
"""Engines that are put on the CPU unless the hardware is overridden as well."""

_AXES = ("model", "hardware", "traffic", "concurrency", "rate", "tensor_parallel", "api")
_LOAD = ("requests", "duration", "warmup")
_LEVELS = ("concurrency", "rate", "sweep", "trace")
_MATRIX = ("engine", "cache", *_AXES, "sweep", "trace")
_WHOLE = ("concurrency", "tensor_parallel", "requests", "warmup")
KEYS = ("tool", "engine", *_AXES, *_LOAD, "dataset")


def parse_overrides(texts: tuple[str, ...]) -> dict[str, str]:
    """
    Overrides as they were typed, each ``KEY=VALUE`` or several with commas between; a comma in brackets is none.

    Raises:
        ConfigError: a part has no ``=``, its key is unknown or stands twice, or its value is blank.
    """
    found: dict[str, str] = {}
    for part in (part for text in texts for part in _parts(text)):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not value:
            raise ConfigError(f"{part!r} must be KEY=VALUE, such as engine=llamacpp", file=OPTION)
        if key not in KEYS:
            raise ConfigError(f"{key!r} cannot be overridden{did_you_mean(key, KEYS)}; known: {', '.join(KEYS)}", file=OPTION)
        if key in found:
            raise ConfigError(f"{key} is given twice; keep one", file=OPTION)
        found[key] = value
    return found


def chosen_tool(found: tuple[Imported, ...], overrides: Mapping[str, str]) -> tuple[Imported, ...]:
    """
    The suites that send the load as ``tool`` says: ``native`` with this plugin's client, ``container`` with the file's own tool.

    Raises:
        ConfigError: it says something else, or the file has no tool.
    """
    tool = overrides.get("tool", "native")
    if tool not in ("native", "container"):
        raise ConfigError(f"tool is native or container, not {tool!r}", file=OPTION)
    if tool == "native":
        return found
    for one in found:
        if not one.with_tool and "tool" not in one.suite:
            raise ConfigError(
                "has no load generator of its own to run in a container; leave tool=container out",
                file=one.origin.file,
                line=one.origin.line,
            )
    return tuple(replace(one, suite=suite, with_tool=()) for one in found for suite in one.with_tool or (one.suite,))


def overridden(imported: Imported, overrides: Mapping[str, str]) -> Imported:
    """
    The same with ``overrides`` in place of what it says.

    Raises:
        ConfigError: a value is not what its key takes.
    """
    if not overrides:
        return imported
    suite = {key: dict(value) if isinstance(value, dict) else value for key, value in imported.suite.items()}
    laid = _with_place(overrides)
    for key in KEYS[1:]:
        if key in laid:
            _APPLY.get(key, _set_axis)(suite, key, laid[key])
    _settle_entries(suite, laid)
    said = ", ".join(f"{key}={value}" for key, value in overrides.items())
    notes = (*imported.notes, f"overridden: {said}")
    if "engine" in laid and suite.pop("cluster", None) is not None:
        notes = (*notes, "its cluster is left out: one server of the other engine answers, without gateway and replicas")
    return replace(imported, suite=suite, notes=notes)


def _parts(text: str) -> list[str]:
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part for part in parts if part.strip()]


def _value(key: str, text: str) -> Any:
    if key not in _WHOLE:
        return text
    if not text.isdecimal():
        raise ConfigError(f"{key} must be a whole number, not {text!r}", file=OPTION)
    return int(text)


def _with_place(overrides: Mapping[str, str]) -> Mapping[str, str]:
    """The overrides, and where an engine runs that is put on the CPU."""
    if overrides.get("engine") not in ON_CPU:
        return overrides
    return {"hardware": "cpu", "tensor_parallel": "1", **overrides}


def _settle_entries(suite: dict[str, Any], laid: Mapping[str, str]) -> None:
    """Take away what ``include`` says of axes that are overridden, and what it would say without any option."""
    replaced = {*laid, *(_LEVELS if any(key in _LEVELS for key in laid) else ())} & {*_MATRIX}
    entries = [entry for entry in suite.get("include", ()) if not replaced & {*entry} and {*entry} - {*_MATRIX}]
    suite.pop("include", None)
    if entries:
        suite["include"] = entries


def _set_engine(suite: dict[str, Any], _key: str, value: str) -> None:
    suite.get("matrix", {}).pop("engine", None)
    suite["engine"] = value
    if suite.get("api") != "template":
        # Where the one before had its API; this one has its own place for it.
        suite.pop("path", None)


def _set_axis(suite: dict[str, Any], key: str, value: str) -> None:
    axes = suite.setdefault("matrix", {})
    suite.pop(key, None)
    if key in _LEVELS:
        for level in _LEVELS:
            axes.pop(level, None)
        for name in ("arrival", "burstiness", "max_in_flight", "ramp_up", "trace", "time_scale"):
            suite.get("load", {}).pop(name, None)
    if key == "api":
        for name in ("path", "body", "text"):
            suite.pop(name, None)
    if key == "traffic":
        # A shared beginning has a length, as what it was the beginning of.
        for name in ("dataset", "prefix"):
            suite.pop(name, None)
    axes[key] = _value(key, value)


def _set_load(suite: dict[str, Any], key: str, value: str) -> None:
    load = suite.setdefault("load", {})
    load[key] = _value(key, value)
    suite["include"] = [{name: said for name, said in entry.items() if name != key} for entry in suite.get("include", ())]


def _set_dataset(suite: dict[str, Any], _key: str, value: str) -> None:
    if "dataset" not in suite:
        raise ConfigError("there is no data set to replace; override the traffic instead", file=OPTION)
    suite["dataset"] = {**suite["dataset"], "path": value}


_Apply = Callable[[dict[str, Any], str, str], None]
_APPLY: Mapping[str, _Apply] = {
    "engine": _set_engine,
    **dict.fromkeys(_LOAD, _set_load),
    "dataset": _set_dataset,
}
