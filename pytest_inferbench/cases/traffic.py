"""
The traffic grammar: what requests carry, in the notation of genai-bench, and a little more.

    D(in,out)                              exactly that many tokens
    N(mean_in,sd_in)/(mean_out,sd_out)     normally distributed
    U(min_in,max_in)/(min_out,max_out)     uniform from min (included) to max (excluded)
    U(max_in,max_out)                      the same from 1
    E(tokens)                              documents to embed
    R(document,query)                      documents to rank against a query
    I(width,height)                        an image; I(width,height,n) has n of them
    A(characters)                          a text to speak
    dataset                                rows of a file as they are

and, beyond genai-bench:

    LN(mean_in,sd_in)/(mean_out,sd_out)    log-normally distributed
    P(a,b,...)/(x,y,...)                   picked from lists; a length that stands twice is twice as likely

Rule: one meaning, one canonical text. Blanks are dropped, a minimum of 0 means 1 (as genai-bench reads it), the longer form of U
becomes the shorter one where both minima are 1, as I does with one image, and the lists of P are sorted. A new form is one
function and one line in ``_FORMS``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePath

from pytest_inferbench.cases.case import ImagePrompts, Images, Lengths, Traffic
from pytest_inferbench.cases.identity import slug
from pytest_inferbench.errors import ConfigError

TOKENS_MAX = 100_000_000
PIXELS_MAX = 16_384
IMAGES_MAX = 100
EXPECTED = (
    "D(in,out), N(mean_in,sd_in)/(mean_out,sd_out), U(min_in,max_in)/(min_out,max_out), U(max_in,max_out), E(tokens), "
    "R(document,query), I(width,height), I(width,height,n), A(characters), dataset, LN(mean_in,sd_in)/(mean_out,sd_out) "
    "or P(a,b,...)/(x,y,...)"
)

Groups = tuple[tuple[int, ...], ...]

_SHAPE = re.compile(r"([A-Za-z]+)((?:\([0-9]+(?:,[0-9]+)*\))(?:/\([0-9]+(?:,[0-9]+)*\))*)?")


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
    form = _FORMS.get(match[1])
    traffic = form(_groups(text, match[2])) if form else None
    if traffic is None:
        raise ConfigError(f"{text!r} is not a traffic; write {EXPECTED}")
    _check(text, traffic)
    return traffic


def replayed_traffic(trace: str) -> Traffic:
    """The traffic of a trace, whose rows say how long each request is; it goes by the name of the file."""
    lengths = Lengths(kind="trace")
    return Traffic(text=f"trace({PurePath(trace).stem})", input_tokens=lengths, output_tokens=lengths)


def traffic_slug(traffic: Traffic) -> str:
    """
    The traffic as it stands in ids and file names: ``d512x128``, ``n480.240x300.150``, ``u100x50``, ``u10.100x5.50``.

    A data set has its name in it, ``dataset.sharegpt``; then come turns and what is cached, ``d512x128-t3-warm``.
    """
    parts = [_text_slug(traffic)]
    if traffic.turns > 1:
        parts.append(f"t{traffic.turns}")
    if traffic.cache != "cold":
        parts.append(traffic.cache)
    return "-".join(parts)


def _text_slug(traffic: Traffic) -> str:
    if traffic.dataset is not None:
        name = re.split(r"[/\\]", traffic.dataset.path.rstrip("/\\"))[-1].split(".")[0]
        return f"dataset.{re.sub('[^a-z0-9._]+', '_', name.lower())}"
    name, _, parameters = traffic.text.partition("(")
    if traffic.input_tokens.kind == "trace":
        return slug(parameters.removesuffix(")"))
    sides = re.findall(r"[0-9,]+", parameters)
    letters = name.lower()
    return letters + ("x".join(side.replace(",", ".") for side in sides) if len(sides) > 1 else "".join(sides).replace(",", "x"))


def _groups(text: str, parameters: str | None) -> Groups:
    # Length before value: Python refuses to convert thousands of digits, with a message that is not for people.
    numbers = re.findall(r"[0-9]+", parameters or "")
    for number in numbers:
        if len(number) > 18 or int(number) > TOKENS_MAX:
            raise ConfigError(f"{text[:60]!r}: {number[:20]} is more than {TOKENS_MAX} tokens")
    return tuple(tuple(map(int, group.split(","))) for group in re.findall(r"\(([0-9,]+)\)", parameters or ""))


# --- forms ------------------------------------------------------------------------------------------------------------------


def _fixed_lengths(tokens: int) -> Lengths:
    return Lengths(kind="fixed", first=tokens)


_NONE = _fixed_lengths(0)


def _fixed(groups: Groups) -> Traffic | None:
    match groups:
        case ((tokens_in, tokens_out),):
            return Traffic(
                text=f"D({tokens_in},{tokens_out})",
                input_tokens=_fixed_lengths(tokens_in),
                output_tokens=_fixed_lengths(tokens_out),
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


def _lognormal(groups: Groups) -> Traffic | None:
    match groups:
        case ((mean_in, sd_in), (mean_out, sd_out)):
            return Traffic(
                text=f"LN({mean_in},{sd_in})/({mean_out},{sd_out})",
                input_tokens=Lengths(kind="lognormal", first=mean_in, second=sd_in),
                output_tokens=Lengths(kind="lognormal", first=mean_out, second=sd_out),
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


def _picked(groups: Groups) -> Traffic | None:
    match groups:
        case (choices_in, choices_out):
            choices_in, choices_out = tuple(sorted(choices_in)), tuple(sorted(choices_out))
            return Traffic(
                text=f"P({','.join(map(str, choices_in))})/({','.join(map(str, choices_out))})",
                input_tokens=Lengths(kind="choice", choices=choices_in),
                output_tokens=Lengths(kind="choice", choices=choices_out),
            )
        case _:
            return None


def _embeddings(groups: Groups) -> Traffic | None:
    match groups:
        case ((tokens,),):
            return Traffic(text=f"E({tokens})", kind="embeddings", input_tokens=_fixed_lengths(tokens), output_tokens=_NONE)
        case _:
            return None


def _rerank(groups: Groups) -> Traffic | None:
    match groups:
        case ((document, query),):
            return Traffic(
                text=f"R({document},{query})",
                kind="rerank",
                input_tokens=_fixed_lengths(document),
                query_tokens=_fixed_lengths(query),
                output_tokens=_NONE,
            )
        case _:
            return None


def _images(groups: Groups) -> Traffic | None:
    match groups:
        case ((width, height),):
            count = 1
        case ((width, height, count),):
            pass
        case _:
            return None
    usual = ImagePrompts()
    return Traffic(
        text=f"I({width},{height})" if count == 1 else f"I({width},{height},{count})",
        kind="images",
        input_tokens=_fixed_lengths(usual.prompt_tokens),
        output_tokens=_fixed_lengths(usual.output_tokens),
        images=Images(width=width, height=height, count=count, format=usual.format),
    )


def _speech(groups: Groups) -> Traffic | None:
    match groups:
        case ((characters,),):
            return Traffic(text=f"A({characters})", kind="speech", input_tokens=_NONE, output_tokens=_NONE, characters=characters)
        case _:
            return None


def _rows(groups: Groups) -> Traffic | None:
    return None if groups else Traffic(text="dataset", kind="dataset", input_tokens=_NONE, output_tokens=_NONE)


_FORMS: dict[str, Callable[[Groups], Traffic | None]] = {
    "D": _fixed,
    "N": _normal,
    "U": _uniform,
    "E": _embeddings,
    "R": _rerank,
    "I": _images,
    "A": _speech,
    "dataset": _rows,
    "LN": _lognormal,
    "P": _picked,
}


# --- what numbers may be ----------------------------------------------------------------------------------------------------


def _check(text: str, traffic: Traffic) -> None:
    match traffic.kind:
        case "text":
            _check_lengths(text, "input", traffic.input_tokens)
            _check_lengths(text, "output", traffic.output_tokens)
        case "embeddings":
            _check_lengths(text, "document", traffic.input_tokens)
        case "rerank":
            _check_lengths(text, "document", traffic.input_tokens)
            _check_lengths(text, "query", traffic.query_tokens or _NONE)
        case "images":
            _check_images(text, traffic.images)
        case "speech" if traffic.characters < 1:
            raise ConfigError(f"{text!r}: characters must be at least 1, not 0")


def _check_lengths(text: str, side: str, lengths: Lengths) -> None:
    least = min(lengths.choices, default=lengths.first)
    if least < 1:
        raise ConfigError(f"{text!r}: {side} tokens must be at least 1, not {least}")
    if lengths.kind == "uniform" and lengths.second <= lengths.first:
        raise ConfigError(
            f"{text!r}: {side} tokens go from {lengths.first} up to but not including {lengths.second}; max must be larger"
        )


def _check_images(text: str, images: Images | None) -> None:
    if images is None:
        return
    for what, value, most in (
        ("width", images.width, PIXELS_MAX),
        ("height", images.height, PIXELS_MAX),
        ("the number of images", images.count, IMAGES_MAX),
    ):
        if not 1 <= value <= most:
            raise ConfigError(f"{text!r}: {what} must be from 1 to {most}, not {value}")
