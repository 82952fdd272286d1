"""``inferbench bisect``: which commit, image tag or value of a flag made cases slower."""

from __future__ import annotations

from typing import Any

import click

from pytest_inferbench.ab_command import exit_with, shared_options

_EXIT_CODES = "Exit codes: 0 found · 2 wrong usage · 3 not found for sure · 130 interrupted"


@click.command(epilog=_EXIT_CODES)
@click.argument("suites", metavar="SUITE...", nargs=-1, required=True)
@click.option("--good", metavar="NAME", help="The last that is known to be good (with --over flags: the first value).")
@click.option("--bad", metavar="NAME", help="The first that is known to be bad (with --over flags: the last value).")
@click.option("--over", type=click.Choice(["image-tags", "commits", "flags"]), required=True, help="What good and bad are.")
@click.option("--tags", metavar="FILE|LIST", help="Tags in their order, a line or comma each (default: ask the registry).")
@click.option("--image", metavar="NAME", help="The image that tags are of (default: the suite's).")
@click.option("--registry", metavar="URL", help="The registry to ask (default: the image's own).")
@click.option("--flag", metavar="NAME=LIST", help="With --over flags: values in their order, such as args.max_num_seqs=16,32,64.")
@click.option(
    "--repeats",
    metavar="N",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="How often to measure what cannot be told, all blocks counted together.",
)
@shared_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON in place of the table.")
def bisect(as_json: bool, repeats: int, **flags: Any) -> None:
    """
    Find the first commit, image tag or value that is worse than the good one.

    Each question is an A/B comparison of the good one with a candidate. What cannot be told is measured again. Answers may be
    wrong, so some are asked for twice, until the result is 95 % sure.
    """
    from pytest_inferbench.ab_run import Asked  # noqa: PLC0415 - keeps --help fast
    from pytest_inferbench.bisect_run import Range, run_bisect  # noqa: PLC0415 - as above

    names = ("good", "bad", "over", "tags", "image", "registry", "flag")
    wanted = Range(**{name: flags.pop(name) for name in names})
    exit_with(lambda: run_bisect(wanted, Asked(**flags), repeats=repeats, as_json=as_json))
