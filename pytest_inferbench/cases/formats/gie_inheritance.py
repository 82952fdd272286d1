"""
Benchmarks of one textproto with what they inherit, by the rules of the tool that the files are made for.

A benchmark with a ``base_benchmark_name`` is a copy of that base (of the same file, itself complete) without its request rates,
into which the benchmark is merged as protobuf merges: a field that is set replaces the base's, a message is merged field by
field, and another choice of a oneof replaces the base's choice.

Rule: to proto3 a false, a 0 and an empty text are fields that are not set, so a benchmark cannot take such a thing back from its
base. Strict reading refuses what is lost that way; lenient reading loses it, as the original does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pytest_inferbench.cases.catalogue import did_you_mean
from pytest_inferbench.cases.formats.format import Source
from pytest_inferbench.cases.formats.gie_messages import NotATextproto, message_class, parsed
from pytest_inferbench.errors import ConfigError

BENCHMARKS_MAX = 10_000
_NAME = re.compile(r"""(?<![\w])name\s*:\s*(["'])(.*?)\1""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """
    One benchmark, complete.

    Attributes:
        message: what it says, inherited fields and all; before defaults that are not inherited.
        line: where its name stands.
        lost: what the merge lost, one sentence each; empty in strict reading.
    """

    message: Any
    line: int | None
    lost: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.message.name)


def read_benchmarks(source: Source, *, lenient: bool) -> tuple[Benchmark, ...]:
    """
    The benchmarks of a file, in its order.

    Raises:
        ConfigError: it is not one of these files, two have one name, a base is missing or goes in a circle, or (strict) a merge
            loses what was written.
    """
    text = _readable(source) if lenient else source.text
    plain, written = _parsed(text, source, "plain"), _parsed(text, source, "written")
    lines = _name_lines(source.text)
    found = [_Raw(message, one, next(iter(lines.get(message.name, ())), None)) for message, one in _pairs(plain, written)]
    if not found:
        raise ConfigError("holds no benchmarks { ... }", file=source.path, line=1)
    if len(found) > BENCHMARKS_MAX:
        raise ConfigError(f"holds more than {BENCHMARKS_MAX} benchmarks", file=source.path)
    return _Family(source, _by_name(source, found), lenient=lenient).complete(found)


@dataclass(frozen=True, slots=True)
class _Raw:
    message: Any
    written: Any
    line: int | None


def _pairs(plain: Any, written: Any) -> Iterator[tuple[Any, Any]]:
    return zip(plain.benchmarks, written.benchmarks, strict=True)


def _parsed(text: str, source: Source, kind: Any) -> Any:
    try:
        return parsed(text, kind)
    except NotATextproto as exc:
        raise ConfigError(_parse_problem(exc), file=source.path, line=exc.line) from exc


def _parse_problem(exc: NotATextproto) -> str:
    """Protobuf's words, and what the original tool does with such a file."""
    words = str(exc)
    unknown = re.search(r'"[\w.]*?(\w+)" has no field named "(\w+)"', words)
    if unknown:
        known = [str(field.name) for field in message_class(unknown[1]).DESCRIPTOR.fields]
        words = f"{unknown[1]} has no field {unknown[2]!r}{did_you_mean(unknown[2], known) or '; known: ' + ', '.join(known)}"
    return f"not a textproto of Benchmarks: {words} (the original tool drops the error, and everything from there on)"


def _readable(source: Source) -> str:
    """The longest beginning, in whole lines, that can be read: the benchmarks that the original has before it stops."""
    lines = source.text.splitlines(keepends=True)
    end = len(lines)
    while True:
        text = "".join(lines[:end])
        try:
            parsed(text)
        except NotATextproto as exc:
            end = min(end - 1, (exc.line or end) - 1)
        else:
            return text


def _by_name(source: Source, found: list[_Raw]) -> dict[str, _Raw]:
    known: dict[str, _Raw] = {}
    for raw in found:
        name = raw.message.name
        if not name:
            raise ConfigError("a benchmark has no name, by which it is found and its folder is called", file=source.path)
        if name in known:
            line = next(iter(_name_lines(source.text).get(name, ())[1:]), None)
            problem = f"two benchmarks are called {name!r}, first on line {raw.line}; the original tool refuses this too"
            raise ConfigError(problem, file=source.path, line=line, field="name")
        known[name] = raw
    return known


class _Family:
    """The benchmarks of a file, each made complete once."""

    def __init__(self, source: Source, raw: dict[str, _Raw], *, lenient: bool) -> None:
        self._source = source
        self._raw = raw
        self._lenient = lenient
        self._done: dict[str, Benchmark] = {}

    def complete(self, found: list[_Raw]) -> tuple[Benchmark, ...]:
        """All of them; bases come before heirs, however long the line of heirs is."""
        for raw in found:
            for name in reversed(self._line_of_bases(raw)):
                self._done.setdefault(name, self._merged(self._raw[name]))
        return tuple(self._done[raw.message.name] for raw in found)

    def _line_of_bases(self, raw: _Raw) -> list[str]:
        names = [str(raw.message.name)]
        while names[-1] not in self._done and (base := self._raw[names[-1]].message.base_benchmark_name):
            heir = self._raw[names[-1]]
            if base not in self._raw:
                problem = f"{base!r} is no benchmark of this file{did_you_mean(base, self._raw)}"
                raise self._error(heir, "base_benchmark_name", problem)
            if base in names:
                circle = " -> ".join([*names[names.index(base) :], base])
                raise self._error(heir, "base_benchmark_name", f"goes round in a circle: {circle}")
            names.append(str(base))
        return names

    def _merged(self, raw: _Raw) -> Benchmark:
        name = raw.message.base_benchmark_name
        message = type(raw.message)()
        lost: list[str] = []
        if name:
            message.CopyFrom(self._done[name].message)
            if message.config.benchmark_tool.HasField("lpg"):
                message.config.benchmark_tool.lpg.request_rates = ""
            for field, value, kept in _lost(raw.written, message, ""):
                sentence = f"{_text(value)} does not take back the base's {_text(kept)}: to proto3 it is not there"
                if not self._lenient:
                    done = f"the original tool runs {raw.message.name!r} with {_text(kept)}"
                    advice = "give it a base without this field, or read it as the original does (--inferbench-lenient)"
                    raise self._error(raw, field, f"{sentence}, so {done}; {advice}")
                lost.append(f"{field}: {sentence}")
        message.MergeFrom(raw.message)
        _derive(message.config)
        if message.config.model_server.HasField("vllm"):
            vllm = message.config.model_server.vllm
            vllm.tensor_parallelism = vllm.tensor_parallelism or "1"
            vllm.v1 = vllm.v1 or "0"
        return Benchmark(message=message, line=raw.line, lost=tuple(lost))

    def _error(self, raw: _Raw, field: str, problem: str) -> ConfigError:
        line = field_line(self._source.text, raw.line, field)
        return ConfigError(problem, file=self._source.path, line=line, field=f"{raw.message.name}: {field}")


def _lost(written: Any, base: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    """What is written and has proto3's value for nothing, where the base has something: its place, it, and the base's."""
    for field, value in written.ListFields():
        path = f"{place}{field.name}"
        if hasattr(value, "ListFields"):
            if base.HasField(field.name):
                yield from _lost(value, getattr(base, field.name), f"{path}.")
        elif not value and field.containing_oneof is None and getattr(base, field.name):
            yield path, value, getattr(base, field.name)


def _derive(config: Any) -> None:
    """The fields that follow from which load balancer there is; as the original does, whatever was written."""
    balancer = config.load_balancer
    gateway = balancer.gateway if balancer.HasField("gateway") else None
    envoy = gateway.envoy if gateway is not None and gateway.HasField("envoy") else None
    balancer.gateway_enabled = gateway is not None
    balancer.k8s_service_enabled = balancer.HasField("k8s_service")
    balancer.gateway_envoy_enabled = envoy is not None
    balancer.gateway_gke_gateway_enabled = gateway is not None and gateway.HasField("gke_gateway")
    balancer.gateway_envoy_epp_enabled = envoy is not None and envoy.HasField("epp")
    balancer.gateway_envoy_lb_policy_enabled = envoy is not None and bool(envoy.lb_policy)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _name_lines(text: str) -> dict[str, list[int]]:
    """The lines on which something is called so, from 1; one pass, since a file may have thousands of names."""
    lines: dict[str, list[int]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        for match in _NAME.finditer(line.partition("#")[0]):
            lines.setdefault(match[2], []).append(number)
    return lines


def field_line(text: str, start: int | None, field: str) -> int | None:
    """The line of the first field called as the last part of ``field``, from line ``start`` on; ``start`` if there is none."""
    name = re.compile(rf"\b{re.escape(field.rpartition('.')[2])}\s*[:{{]")
    lines = text.splitlines()
    for number in range(start or 1, len(lines) + 1):
        if name.search(lines[number - 1].partition("#")[0]):
            return number
    return start
