"""
The traffic grammar: how many tokens requests carry, in the notation of genai-bench.

    D(in,out)                              exactly that many tokens
    N(mean_in,sd_in)/(mean_out,sd_out)     normally distributed
    U(min_in,max_in)/(min_out,max_out)     uniform from min (included) to max (excluded)
    U(max_in,max_out)                      the same from 1

Rule: one meaning, one canonical text. Blanks are dropped, a minimum of 0 means 1 (as genai-bench reads it), and the longer
form of U becomes the shorter one where both minima are 1. A new form is one function and one line in ``_FORMS``.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pytest_inferbench.cases.case import Lengths, Traffic
from pytest_inferbench.errors import ConfigError

TOKENS_MAX = 100_000_000
EXPECTED = "D(in,out), N(mean_in,sd_in)/(mean_out,sd_out), U(min_in,max_in)/(min_out,max_out) or U(max_in,max_out)"

Groups = tuple[tuple[int, ...], ...]

_SHAPE = re.compile(r"([A-Za-z]+)((?:\([0-9]+(?:,[0-9]+)*\))(?:/\([0-9]+(?:,[0-9]+)*\))*)?")
# Forms of the same grammar for requests that are not text generation.
_LATER = {"E": "embeddings", "R": "rerank", "I": "images", "A": "speech", "dataset": "rows of a data set as they are"}


def parse_traffic(text: str) -> Traffic:
    """
    Read one traffic, such as ``D(512,128)``; blanks between its parts don't matter.

    Raises:
        ConfigError: it is not of the grammar, or its numbers make no sense; says what would be right.
    """
    match = _SHAPE.fullmatch(re.sub(r"\s*([(),/])\s*", r"\1", text.strip()))
    if match is None:
        # YAML splits an unquoted D(8,8) in a list at its comma.
        half = " (half of one? in a list, put quotes round each)" if text.count("(") != text.count(")") else ""
        raise ConfigError(f"{text!r} is not a traffic{half}; write {EXPECTED}")
    name = match[1]
    if name in _LATER:
        raise ConfigError(f"{text!r}: traffic {name!r} ({_LATER[name]}) is not supported yet; write {EXPECTED}")
    form = _FORMS.get(name)
    traffic = form(_groups(text, match[2])) if form else None
    if traffic is None:
        raise ConfigError(f"{text!r} is not a traffic; write {EXPECTED}")
    _check(text, "input", traffic.input_tokens)
    _check(text, "output", traffic.output_tokens)
    return traffic


def traffic_slug(traffic: Traffic) -> str:
    """The traffic as it stands in ids and file names: ``d512x128``, ``n480.240x300.150``, ``u100x50``, ``u10.100x5.50``."""
    sides = re.findall(r"\(([0-9,]+)\)", traffic.text)
    letter = traffic.text[0].lower()
    return letter + ("x".join(side.replace(",", ".") for side in sides) if len(sides) > 1 else sides[0].replace(",", "x"))


def _groups(text: str, parameters: str | None) -> Groups:
    # Length before value: Python refuses to convert thousands of digits, with a message that is not for people.
    numbers = re.findall(r"[0-9]+", parameters or "")
    for number in numbers:
        if len(number) > 18 or int(number) > TOKENS_MAX:
            raise ConfigError(f"{text[:60]!r}: {number[:20]} is more than {TOKENS_MAX} tokens")
    return tuple(tuple(map(int, group.split(","))) for group in re.findall(r"\(([0-9,]+)\)", parameters or ""))


def _fixed(groups: Groups) -> Traffic | None:
    match groups:
        case ((tokens_in, tokens_out),):
            return Traffic(
                text=f"D({tokens_in},{tokens_out})",
                input_tokens=Lengths(kind="fixed", first=tokens_in),
                output_tokens=Lengths(kind="fixed", first=tokens_out),
            )
        case _:
            return None


def _normal(groups: Groups) -> Traffic | None:
    match groups:
        case ((mean_in, sd_in), (mean_out, sd_out)):
            return Traffic(
                text=f"N({mean_in},{sd_in})/({mean_out},{sd_out})",
                input_tokens=Lengths(kind="normal", first=mean_in, second=sd_in),
                output_tokens=Lengths(kind="normal", first=mean_out, second=sd_out),
            )
        case _:
            return None


def _uniform(groups: Groups) -> Traffic | None:
    match groups:
        case ((max_in, max_out),):
            min_in = min_out = 1
        case ((min_in, max_in), (min_out, max_out)):
            min_in, min_out = min_in or 1, min_out or 1
        case _:
            return None
    short = min_in == min_out == 1
    return Traffic(
        text=f"U({max_in},{max_out})" if short else f"U({min_in},{max_in})/({min_out},{max_out})",
        input_tokens=Lengths(kind="uniform", first=min_in, second=max_in),
        output_tokens=Lengths(kind="uniform", first=min_out, second=max_out),
    )


_FORMS: dict[str, Callable[[Groups], Traffic | None]] = {"D": _fixed, "N": _normal, "U": _uniform}


def _check(text: str, side: str, lengths: Lengths) -> None:
    if lengths.first < 1:
        raise ConfigError(f"{text!r}: {side} tokens must be at least 1, not {lengths.first}")
    if lengths.kind == "uniform" and lengths.second <= lengths.first:
        raise ConfigError(
            f"{text!r}: {side} tokens go from {lengths.first} up to but not including {lengths.second}; max must be larger"
        )
