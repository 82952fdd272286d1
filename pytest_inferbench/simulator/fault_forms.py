"""
What can be made to go wrong with a simulated server, and how it is written: a table, and the readers of its values.

Rule: a new fault is one entry of `FAULTS` and one field of `faults.FaultPlan`; help texts and docs are made from the table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from pytest_inferbench.cases.catalogue import did_you_mean
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.units import duration_s, quantity_in

FLAG = "--fault"
HEADER = "x-inferbench-fault"
STATUSES = (429, 500, 503)
COUNT_MAX = 10**9
_TEXT_MAX = 1000
_BYTE_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}
_BYTES_PER_S = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\s*([KMG]?i?B)/s", re.IGNORECASE)
_OFFSET = re.compile(r"[+-]?\d{1,9}")

Fields = Mapping[str, object]
Reader = Callable[[str, Mapping[str, str]], Fields]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRate:
    """A share of the requests is refused with this status; 429 and 503 say when to come again."""

    status: int
    share: float
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """Clocks at a share of their full speed, between two times since the server became ready."""

    clock_share: float
    from_s: float = 0.0
    until_s: float = inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Steps take so much longer from a time on, since the server became ready: 0.1 is 10 % longer."""

    slower_share: float
    from_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultForm:
    """
    One fault as people write it.

    Attributes:
        name: what stands before ``=``.
        value: the form of what stands after it; empty where nothing does.
        example: the whole, as it may be written.
        does: a sentence.
        options: names that may follow as ``:name=VALUE``.
        by_request: the request header may ask for it too, for this one request.
        read: makes fields of a plan of the value and its options.
    """

    name: str
    value: str
    example: str
    does: str
    read: Reader
    options: tuple[str, ...] = ()
    by_request: bool = True

    @property
    def form(self) -> str:
        """As a help text has it: ``stall-after-tokens=N[:for=TIME]``."""
        return f"{self.name}={self.value}" if self.value else self.name


def read_faults(texts: Sequence[str], *, source: str = FLAG) -> dict[str, object]:
    """
    The fields of a plan that these texts ask for; one text may hold several faults, with commas between them.

    Raises:
        ConfigError: a fault is not known, its value is none of those allowed, or it is there twice; says what is allowed.
    """
    fields: dict[str, object] = {}
    seen: set[str] = set()
    for text in (part.strip() for whole in texts for part in _bounded(whole, source).split(",")):
        form = _form_of(text, source)
        if form.name in seen and form.name != "error-rate":
            raise ConfigError(f"{text!r}: {form.name} is there twice; keep one", file=source)
        seen.add(form.name)
        for name, value in _fields_of(form, text, source).items():
            before = fields.get(name)
            fields[name] = before + value if isinstance(before, tuple) and isinstance(value, tuple) else value
    return fields


def _bounded(text: str, source: str) -> str:
    if len(text) > _TEXT_MAX:
        raise ConfigError(f"{text[:40]!r}... has {len(text)} characters; at most {_TEXT_MAX} are read", file=source)
    return text


def _form_of(text: str, source: str) -> FaultForm:
    name = text.partition("=")[0].strip()
    forms = {form.name: form for form in FAULTS if source == FLAG or form.by_request}
    if name in forms:
        return forms[name]
    if any(form.name == name for form in FAULTS):
        problem = f"{name} is of the whole server; give it at its start: {FLAG} {text}"
    else:
        problem = f"{name!r} is no fault{did_you_mean(name, forms)}; known: {', '.join(forms)}"
    raise ConfigError(problem, file=source)


def _fields_of(form: FaultForm, text: str, source: str) -> Fields:
    try:
        value, options = _parts(form, text)
        return form.read(value, options)
    except ConfigError as error:
        # The value's own reader knows neither the fault nor where it stands.
        raise ConfigError(f"{text!r}: {error.problem}; write {form.form}, such as {form.example}", file=source) from error


def _parts(form: FaultForm, text: str) -> tuple[str, dict[str, str]]:
    _, given, rest = text.partition("=")
    if bool(given) != bool(form.value):
        raise ConfigError("it needs a value" if form.value else "it takes no value")
    values: list[str] = []
    options: dict[str, str] = {}
    for piece in rest.split(":"):
        name, is_option, value = (part.strip() for part in piece.partition("="))
        if not is_option:
            values.append(name)
        elif name not in form.options or name in options:
            allowed = f"; it has {', '.join(form.options)}" if form.options else "; it has none"
            what = "is there twice" if name in options else f"is no option of it{did_you_mean(name, form.options)}{allowed}"
            raise ConfigError(f"{name!r} {what}")
        else:
            options[name] = value
    return ":".join(values), options


# --- values -----------------------------------------------------------------------------------------------------------------


def _count(text: str, *, least: int = 0) -> int:
    if not re.fullmatch(r"\d{1,10}", text) or not least <= int(text) <= COUNT_MAX:
        raise ConfigError(f"{text!r} is no whole number from {least} to {COUNT_MAX}")
    return int(text)


def _share(text: str, *, most: float) -> float:
    share = quantity_in(text, "1")
    if not 0 < share <= most:
        raise ConfigError(f"{text!r} is not more than 0 and at most {most:g}")
    return share


def bytes_per_s(text: str) -> float:
    """
    A number of bytes a second: ``100MB/s`` (units of 1000), ``2GiB/s`` (units of 1024).

    Raises:
        ConfigError: it is no such number, or 0.
    """
    match = _BYTES_PER_S.fullmatch(text)
    rate = float(match[1]) * _BYTE_UNITS[match[2].upper()] if match else 0.0
    if not rate:
        raise ConfigError(f"{text!r} is no number of bytes a second, such as 100MB/s")
    return rate


def _times(field: str) -> Reader:
    return lambda value, _: {field: duration_s(value)}


def _counts(field: str, *, least: int = 0) -> Reader:
    return lambda value, _: {field: _count(value, least=least)}


def _is_so(field: str) -> Reader:
    return lambda _, __: {field: True}


def _stall(value: str, options: Mapping[str, str]) -> Fields:
    return {"stall_after_tokens": _count(value), "stall_s": duration_s(options["for"]) if "for" in options else inf}


def _errors(value: str, options: Mapping[str, str]) -> Fields:
    status, _, share = value.partition(":")
    if status not in map(str, STATUSES):
        raise ConfigError(f"{status!r} is none of the statuses {', '.join(map(str, STATUSES))}")
    retry_after_s = duration_s(options.get("retry-after", "1s")) if status != "500" or "retry-after" in options else None
    return {"errors": (ErrorRate(status=int(status), share=_share(share, most=1), retry_after_s=retry_after_s),)}


def _usage(value: str, _: Mapping[str, str]) -> Fields:
    if not _OFFSET.fullmatch(value) or not int(value):
        raise ConfigError(f"{value!r} is no number of tokens to count too many (+5) or too few (-5)")
    return {"usage_offset": int(value)}


def _network(value: str, _: Mapping[str, str]) -> Fields:
    delay_s, rate = (0.0, bytes_per_s(value)) if "/" in value else (duration_s(value), inf)
    return {"write_delay_s": delay_s, "write_bytes_per_s": rate}


def _throttle(value: str, options: Mapping[str, str]) -> Fields:
    share, from_s = _share(value, most=1), duration_s(options.get("from", "0"))
    until_s = from_s + duration_s(options["for"]) if "for" in options else inf
    return {"throttle": Throttle(clock_share=share, from_s=from_s, until_s=until_s)}


def _leak(value: str, options: Mapping[str, str]) -> Fields:
    return {"leak_bytes_per_s": bytes_per_s(value), "leak_from_s": duration_s(options.get("from", "0"))}


def _drift(value: str, options: Mapping[str, str]) -> Fields:
    slower = _share(value, most=100)
    return {"drift": Drift(slower_share=slower, from_s=duration_s(options.get("from", "0")))}


FAULTS: tuple[FaultForm, ...] = (
    FaultForm(
        name="slow-start",
        value="TIME",
        example="slow-start=60s",
        does="is ready only so long after its start",
        read=_times("start_delay_s"),
        by_request=False,
    ),
    FaultForm(
        name="never-ready",
        value="",
        example="never-ready",
        does="runs and never becomes ready: /health answers 503",
        read=_is_so("never_ready"),
        by_request=False,
    ),
    FaultForm(
        name="crash-after-requests",
        value="N",
        example="crash-after-requests=20",
        does="ends with an error when N requests have been answered, whatever else is in flight",
        read=_counts("crash_after_requests", least=1),
        by_request=False,
    ),
    FaultForm(
        name="crash-after",
        value="TIME",
        example="crash-after=30s",
        does="ends with an error so long after it became ready",
        read=_times("crash_after_s"),
        by_request=False,
    ),
    FaultForm(
        name="hang-after-requests",
        value="N",
        example="hang-after-requests=20",
        does="takes every request after the first N and never answers it",
        read=_counts("hang_after_requests"),
    ),
    FaultForm(
        name="stall-after-tokens",
        value="N[:for=TIME]",
        example="stall-after-tokens=8:for=5s",
        does="stops in the middle of an answer before its token N + 1, for that time or for ever",
        read=_stall,
        options=("for",),
    ),
    FaultForm(
        name="reset-after-tokens",
        value="N",
        example="reset-after-tokens=8",
        does="resets the connection in the middle of an answer, before its token N + 1",
        read=_counts("reset_after_tokens"),
    ),
    FaultForm(
        name="error-rate",
        value="STATUS:SHARE[:retry-after=TIME]",
        example="error-rate=429:0.1",
        does="refuses this share of the requests with 429, 500 or 503; several statuses may be given",
        read=_errors,
        options=("retry-after",),
    ),
    FaultForm(
        name="wrong-usage",
        value="+N",
        example="wrong-usage=+5",
        does="counts so many more (or -N: fewer) output tokens in usage than were sent",
        read=_usage,
    ),
    FaultForm(
        name="missing-usage",
        value="",
        example="missing-usage",
        does="says no usage, though it was asked for",
        read=_is_so("missing_usage"),
    ),
    FaultForm(
        name="tokens-per-chunk",
        value="N",
        example="tokens-per-chunk=4",
        does="sends so many tokens in each event of a stream",
        read=_counts("tokens_per_chunk", least=1),
    ),
    FaultForm(
        name="slow-network",
        value="TIME or BYTES/s",
        example="slow-network=10ms",
        does="delays each write by that time, or by its size at that rate, such as 100KB/s",
        read=_network,
    ),
    FaultForm(
        name="throttle",
        value="SHARE[:from=TIME][:for=TIME]",
        example="throttle=0.7:from=10s:for=20s",
        does="runs GPU clocks at this share of their full speed, for want of power: steps take longer, telemetry says so",
        read=_throttle,
        options=("from", "for"),
        by_request=False,
    ),
    FaultForm(
        name="memory-leak",
        value="BYTES/s[:from=TIME]",
        example="memory-leak=100MB/s",
        does="uses ever more GPU memory, and ends with an error when none is left",
        read=_leak,
        options=("from",),
        by_request=False,
    ),
    FaultForm(
        name="drift",
        value="SHARE[:from=TIME]",
        example="drift=10%:from=30s",
        does="makes each step take so much longer from that time on: a regression",
        read=_drift,
        options=("from",),
        by_request=False,
    ),
)
"""Every fault, in the order of a server's life."""
