"""``inferbench ab``: two variants of the same cases, measured in turns on the same hardware."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pytest_inferbench.errors import ConfigError, InferbenchError
from pytest_inferbench.redaction import redact_text

FAIL_ON = "tpot_p50:5%,ttft_p50:10%,output_throughput:5%"
"""What is compared where nobody says: what a few requests a run can tell."""
BLOCKS = 4
CANNOT_TELL, INTERRUPTED = 3, 130
_EXIT_CODES = "Exit codes: 0 no regression · 1 a regression · 2 wrong usage · 3 cannot tell · 130 interrupted"

_SHARED = (
    click.option("-k", "keyword", metavar="EXPR", default="", help="Cases whose ids match, as pytest's -k does."),
    click.option("-m", "markers", metavar="EXPR", default="", help="Cases by their marks, such as 'case(tp=2)'."),
    click.option(
        "--fail-on",
        metavar="LIST",
        help=f"Figures, and how much worse each may get (default: as the suites say, else {FAIL_ON}).",
    ),
    click.option(
        "--blocks",
        metavar="N",
        type=click.IntRange(min=1),
        default=BLOCKS,
        show_default=True,
        help="Blocks of four runs: A B B A, B A A B, and so on.",
    ),
    click.option("--restart", is_flag=True, help="A new server for every run: how its starts differ counts, too."),
    click.option(
        "--repo",
        "repository",
        metavar="DIR",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        default=".",
        help="The repository that commits are of (default: the current folder).",
    ),
    click.option("--build", metavar="CMD", default="", help="Run in the tree of each commit before its server is started."),
    click.option("--seed", metavar="N", type=click.IntRange(min=0), help="Send the same bytes again (default: new prompts)."),
    click.option("--output", metavar="DIR", type=click.Path(path_type=Path), help="Where the files go (default: a new run)."),
    click.option(
        "--lease-timeout", metavar="TIME", default="1h", show_default=True, help="Longest wait for hardware that others use."
    ),
    click.option("--quiet", "-q", is_flag=True, help="No live progress; only the result."),
)


def shared_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of everything that measures two sides in turns; they are the fields of `ab_run.Asked`."""
    for part in reversed(_SHARED):
        command = part(command)
    return command


def exit_with(measured: Callable[[], int]) -> None:
    """
    Leave with the code that a measurement gives: 2 where it was asked for wrongly, 3 where nothing came of it.

    Raises:
        click.UsageError: it was asked for wrongly.
        click.exceptions.Exit: with its code.
    """
    try:
        code = measured()
    except ConfigError as error:
        raise click.UsageError(redact_text(str(error))) from error
    except InferbenchError as error:
        click.echo(f"{click.style('error', fg='red')}: {redact_text(str(error))}", err=True)
        code = CANNOT_TELL
    except KeyboardInterrupt:
        click.echo("interrupted before anything was measured", err=True)
        code = INTERRUPTED
    raise click.exceptions.Exit(code)


@click.command(epilog=_EXIT_CODES)
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.argument("suites", metavar="SUITE...", nargs=-1, required=True)
@shared_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON in place of the table.")
@click.option(
    "--step-summary",
    metavar="FILE",
    envvar="GITHUB_STEP_SUMMARY",
    show_envvar=True,
    type=click.Path(path_type=Path),
    help="Add a summary in Markdown to this file.",
)
@click.option(
    "--annotate", is_flag=True, envvar="GITHUB_ACTIONS", show_envvar=True, help="Print GitHub's annotations, to standard error."
)
def ab(a: str, b: str, **flags: Any) -> None:
    """
    Say whether B is worse than A: both are measured in turns, on the same hardware.

    A and B are base (the suite as it is), or what they change of it, separated by commas: args.max_num_seqs=64, env.NAME=VALUE,
    image=vllm/vllm-openai:v0.10.0, engine=sglang, model=NAME, commit=SHA.
    """
    from pytest_inferbench.ab_run import Asked, Shown, run_ab  # noqa: PLC0415 - keeps --help fast

    shown = Shown(**{name: flags.pop(name) for name in ("as_json", "step_summary", "annotate")})
    exit_with(lambda: run_ab(a, b, Asked(**flags), shown))
