"""
``inferbench predict``: what a suite, or a matrix written on the command line, would roughly give and cost.

Rule: nothing is started, and nothing is written but what is printed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import click

from pytest_inferbench.errors import ConfigError, InferbenchError
from pytest_inferbench.redaction import redact_text

if TYPE_CHECKING:
    from pytest_inferbench.cases.case import Case

_FLAGS = {"matrix.tensor_parallel": "--tp", "tensor_parallel": "--tp"}
_LIST = "one, or several with commas between them"


@click.command(
    epilog="\b\nExit codes: 0 predicted, whatever of it · 1 nothing of it can be predicted · 2 wrong usage · 130 interrupted"
)
@click.argument("suites", nargs=-1, metavar="[SUITE]...")
@click.option("-k", "keyword", metavar="EXPR", default="", help="Cases whose ids match, as pytest's -k does.")
@click.option("-m", "markers", metavar="EXPR", default="", help="Cases by their marks, such as 'case(tp=2)'.")
@click.option("--hardware", metavar="NAME", help=f"Without a suite: h100, l4, mi300x ...; {_LIST}.")
@click.option("--model", metavar="NAME", help=f"Without a suite: a catalogue name, a hub name, or a config.json; {_LIST}.")
@click.option("--engine", metavar="NAME", help=f"Without a suite: vllm, sglang, trtllm ... (default: vllm); {_LIST}.")
@click.option("--engine-arg", "engine_args", metavar="NAME=VALUE", multiple=True, help="Of the engine, such as quantization=fp8.")
@click.option("--tp", metavar="N", help=f"Without a suite: GPUs that share the model (default: 1); {_LIST}.")
@click.option(
    "--traffic", metavar="T", multiple=True, help="Without a suite: D(512,128) and the like; may be given several times."
)
@click.option("--concurrency", metavar="N", help=f"Without a suite: users in a closed loop (default: 1); {_LIST}.")
@click.option("--rate", metavar="R", help=f"Without a suite: requests a second in an open loop, or inf; {_LIST}.")
@click.option("--requests", metavar="N", type=click.IntRange(min=1), help="Without a suite: measured requests (default: 100).")
@click.option("--slo", metavar="EXPR", multiple=True, help="Without a suite: an objective, such as 'ttft_p99<=500ms'.")
@click.option("--seed", metavar="N", type=click.IntRange(min=0), default=0, help="Of lengths and instants (default: 0).")
@click.option("--json", "form", flag_value="json", help="Print one JSON document.")
@click.option("--csv", "form", flag_value="csv", help="Print one CSV row a case.")
def predict(suites: tuple[str, ...], *, form: str | None, seed: int, **flags: Any) -> None:
    """
    Predict what cases would roughly give, and what measuring them would cost, without hardware.

    Cases are those of SUITE, as pytest would collect them, or the matrix of --hardware, --model, --tp, --traffic and
    --concurrency or --rate. What is printed was computed by a model of the server (docs/simulator.md), not measured.
    """
    try:
        # Whatever was asked for is read before anything heavy is imported.
        cases = _selected(suites, flags) if suites else _matrix(flags)
        sys.exit(_print(cases, form=form, seed=seed))
    except ConfigError as error:
        _fail(error, 2)
    except InferbenchError as error:
        _fail(error, 1)
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        sys.exit(130)


def _print(cases: Sequence[Case], *, form: str | None, seed: int) -> int:
    from pytest_inferbench.simulator import predict_report  # noqa: PLC0415 - keeps --help fast
    from pytest_inferbench.simulator.predict import predict as predicted  # noqa: PLC0415 - as above

    predictions = []
    for number, case in enumerate(cases, 1):
        if sys.stderr.isatty():
            click.echo(f"\r\x1b[K{number}/{len(cases)} {case.id}"[:110], err=True, nl=False)
        predictions.append(predicted(case, seed=seed))
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", err=True, nl=False)
    forms: dict[str | None, Callable[[], str]] = {
        "json": lambda: predict_report.as_json(predictions),
        "csv": lambda: predict_report.as_csv(predictions).rstrip("\n"),
        None: lambda: "\n".join(predict_report.table_lines(predictions)),
    }
    click.echo(redact_text(forms[form]()))
    return 0 if any(each.summary is not None or each.fits is False for each in predictions) else 1


# --- which cases ------------------------------------------------------------------------------------------------------------


def _selected(suites: Sequence[str], flags: dict[str, Any]) -> Sequence[Case]:
    from pytest_inferbench.steps_selection import selected  # noqa: PLC0415 - keeps --help fast

    given = [
        name
        for name in ("hardware", "model", "engine", "engine_args", "tp", "traffic", "concurrency", "rate", "requests", "slo")
        if flags[name]
    ]
    if given:
        flag = f"--{given[0].replace('_', '-').removesuffix('s')}" if given[0] == "engine_args" else f"--{given[0]}"
        raise ConfigError(f"says what a suite says already; give the suite, or {flag} without one", file=flag)
    return selected(suites, keyword=flags["keyword"], markers=flags["markers"])


def _matrix(flags: dict[str, Any]) -> Sequence[Case]:
    """The cases of a suite that only stands on the command line."""
    from pytest_inferbench.cases.case import Origin  # noqa: PLC0415 - keeps --help fast
    from pytest_inferbench.cases.suite import suite_from_mapping  # noqa: PLC0415 - as above
    from pytest_inferbench.objectives.slo import parse_objectives  # noqa: PLC0415 - as above

    for flag, value in (("--hardware", flags["hardware"]), ("--model", flags["model"])):
        if not value:
            raise ConfigError("give a suite, or --hardware and --model; such as --hardware h100 --model llama-3.1-8b", file=flag)
    for flag in ("keyword", "markers"):
        if flags[flag]:
            raise ConfigError("selects from a suite, and none is given", file=f"-{flag[0] if flag == 'keyword' else 'm'}")
    if flags["concurrency"] and flags["rate"]:
        raise ConfigError("give --concurrency or --rate, not both", file="--rate")
    parse_objectives(flags["slo"], field="--slo")
    suites = [_mapping(flags, hardware) for hardware in _words(flags["hardware"])]
    try:
        return [case for each in suites for case in suite_from_mapping(each, "predict", Origin(file="command line")).cases()]
    except ConfigError as error:
        raise ConfigError(error.problem, file=_flag(error.field)) from None


def _flag(field: str | None) -> str | None:
    """``--tp`` for ``matrix.tensor_parallel[0]``."""
    if field is None:
        return None
    name = field.partition("[")[0]
    return _FLAGS.get(name, f"--{name.removeprefix('matrix.')}")


def _mapping(flags: dict[str, Any], hardware: str) -> dict[str, Any]:
    level = {"rate": [_rate(word) for word in _words(flags["rate"])]} if flags["rate"] else {}
    level = level or {"concurrency": [_whole(word, "--concurrency") for word in _words(flags["concurrency"] or "1")]}
    args = dict(_pair(text) for text in flags["engine_args"])
    names = _words(flags["engine"] or "vllm")
    return {
        "hardware": hardware,
        "engine": [{"name": name, "args": args} if args else name for name in names],
        "model": _words(flags["model"]),
        "tensor_parallel": [_whole(word, "--tp") for word in _words(flags["tp"] or "1")],
        "traffic": list(flags["traffic"]) or ["D(512,128)"],
        **level,
        "requests": flags["requests"] or 100,
        **({"slo": list(flags["slo"])} if flags["slo"] else {}),
    }


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _whole(word: str, flag: str) -> int:
    if not word.isdecimal() or not int(word):
        raise ConfigError(f"{word!r} is no whole number from 1; write such as 1,2,4", file=flag)
    return int(word)


def _rate(word: str) -> float | str:
    try:
        return "inf" if word == "inf" else float(word)
    except ValueError:
        raise ConfigError(f"{word!r} is no rate; write requests a second, such as 1,5,inf", file="--rate") from None


def _pair(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise ConfigError(f"{text!r} is not NAME=VALUE; write such as quantization=fp8", file="--engine-arg")
    return name.strip(), int(value) if value.isdecimal() else value


def _fail(error: InferbenchError, code: int) -> NoReturn:
    click.echo(f"{click.style('error', fg='red')}: {redact_text(str(error))}", err=True)
    sys.exit(code)
