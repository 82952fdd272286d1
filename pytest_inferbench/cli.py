"""The command line ``inferbench``: experiments without a suite, the steps of a run, and what this machine can run."""

from __future__ import annotations

import json
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, get_args

import click
from click.core import ParameterSource

from pytest_inferbench.cases.case import Api
from pytest_inferbench.errors import ConfigError, InferbenchError
from pytest_inferbench.inferx_options import as_native, inferx_names, inferx_options
from pytest_inferbench.redaction import redact_text

if TYPE_CHECKING:
    from pytest_inferbench.result import Result
    from pytest_inferbench.steps import Outcome

PASSED, MISSED, WRONG_USAGE, NO_VERDICT, INTERRUPTED = 0, 1, 2, 3, 130

_EXIT_CODES = """\b
Exit codes: 0 passed · 1 an SLO was missed · 2 wrong usage · 3 invalid or inconclusive · 130 interrupted"""

_STEP_CODES = """\b
Exit codes: 0 all of it went well · 1 something did not, the rest is as it says · 2 wrong usage · 130 interrupted"""

_FOLDER_FLAGS = ("--output", "--outdir")

# Commands of modules of their own, which are imported when one is asked for.
_ELSEWHERE = {
    "baseline": "pytest_inferbench.baseline_command:baseline",
    "compare": "pytest_inferbench.compare_command:compare",
    "convert": "pytest_inferbench.convert_command:convert",
    "ab": "pytest_inferbench.ab_command:ab",
    "bisect": "pytest_inferbench.bisect_command:bisect",
    "export": "pytest_inferbench.export_command:export",
    "fetch": "pytest_inferbench.fetch_command:fetch",
    "history": "pytest_inferbench.history_command:history",
    "site": "pytest_inferbench.site_command:site",
    "upload": "pytest_inferbench.upload_command:upload",
    "generate": "pytest_inferbench.generate_command:generate",
    "import": "pytest_inferbench.import_command:import_results",
    "manifests": "pytest_inferbench.manifests:manifests_command",
    "predict": "pytest_inferbench.simulator.predict_command:predict",
    "simulate": "pytest_inferbench.simulator.command:simulate",
}


class _Commands(click.Group):
    """The commands of this module and those elsewhere."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        where = _ELSEWHERE.get(cmd_name)
        if where is None:
            return super().get_command(ctx, cmd_name)
        module, _, name = where.partition(":")
        found: click.Command = getattr(import_module(module), name)
        return found


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="pytest-inferbench", prog_name="inferbench")
def main() -> None:
    """LLM-serving benchmarks: is it fast enough, and is it still as fast as last week?"""


@main.command(epilog=_EXIT_CODES)
@click.option("--endpoint", metavar="URL", required=True, help="The server, such as http://127.0.0.1:8000.")
@click.option("--model", metavar="NAME", help="Its model (default: the only one that /v1/models lists).")
@click.option("--api", type=click.Choice(get_args(Api)), default="chat", show_default=True, help="How it is spoken to.")
@click.option("--no-stream", is_flag=True, help="Answers come whole, as one JSON document each: e2e and throughput only.")
@click.option("--path", metavar="PATH", help="Where the API is below the URL (default: its usual place); may hold {model}.")
@click.option("--body-template", metavar="JSON", help='With --api template: the request, such as \'{"input": "{prompt}"}\'.')
@click.option("--text-path", metavar="P", help="With --api template: where an answer has its text, such as choices[0].text.")
@click.option("--header", metavar="'NAME: VALUE'", multiple=True, help="Of every request; a secret only as '${VARIABLE}'.")
@click.option("--ca-file", metavar="PEM", help="Certificates to trust in place of the system's own.")
@click.option("--api-key-env", metavar="NAME", help="Environment variable that holds the server's bearer key.")
@click.option("--tokenizer", metavar="PATH", help="tokenizer.json, its folder, or a GGUF file; without it lengths are estimated.")
@click.option(
    "--traffic",
    metavar="T",
    help="D(in,out), N(mean,sd)/(mean,sd), U(min,max)/(min,max) ... (default: D(100,100)).",
)
@click.option("--cache", type=click.Choice(["cold", "warm", "shared"]), help="What its prompt cache has seen (default: cold).")
@click.option("--prefix", metavar="P", help="What prompts share, such as tokens=512,share=0.8,count=4.")
@click.option("--turns", metavar="N", type=int, help="Requests of one conversation (default: 1).")
@click.option("--think-time", metavar="TIME", help="With --turns: from the end of one to the next, such as 2s.")
@click.option("--documents", metavar="N", type=int, help="Documents in each request, with traffic E and R (default: 1).")
@click.option("--dataset", metavar="PATH", help="Requests that stand in a file or folder, in place of --traffic.")
@click.option(
    "--dataset-format", type=click.Choice(["sharegpt", "jsonl", "lines", "hf"]), help="Its format (default: by its ending)."
)
@click.option("--dataset-prompt", metavar="TEXT", help="Prompts of its fields, such as '{instruction} {input}'.")
@click.option("--dataset-output", metavar="N|FIELD", help="Tokens of every answer, or the field that says or holds it.")
@click.option("--concurrency", metavar="N", type=click.IntRange(min=1), help="Closed loop: that many users (default: 1).")
@click.option("--rate", metavar="R", help="Open loop: requests a second, or inf for all at once.")
@click.option("--sweep", metavar="N", type=int, help="N rates between one user and all at once, both measured first.")
@click.option(
    "--arrival",
    type=click.Choice(["poisson", "constant", "gamma", "linear", "exponential", "steps"]),
    help="How an open loop's requests come (default: poisson).",
)
@click.option("--burstiness", metavar="B", type=float, help="With --arrival gamma: 1 is Poisson, less is burstier.")
@click.option("--ramp-from", metavar="R", help="With a ramp (linear, exponential, steps): the rate at which it begins.")
@click.option("--steps", metavar="N", type=int, help="With --arrival steps: how many levels.")
@click.option("--ramp-up", metavar="TIME", help="With --concurrency: the time over which users start (default: all at once).")
@click.option("--max-in-flight", metavar="N", type=int, help="With --rate or --trace: the most requests on the wire.")
@click.option(
    "--trace", metavar="FILE", help="Replay a trace (Mooncake, Azure, BurstGPT, CSV), in place of --rate and --traffic."
)
@click.option("--time-scale", metavar="X", type=float, help="What a trace's times are multiplied by: 0.5 is twice as fast.")
@click.option("--requests", metavar="N", type=click.IntRange(min=1), help="Measured requests (default: 100, without --duration).")
@click.option("--duration", metavar="TIME", help="How long to send, such as 60, 90s or 5m.")
@click.option(
    "--warmup", metavar="N", type=click.IntRange(min=0), default=0, show_default=True, help="Requests before, in no figure."
)
@click.option("--slo", metavar="EXPR", multiple=True, help="An objective, such as 'ttft_p99<=500ms'; may be given several times.")
@click.option(
    "--confidence",
    metavar="SHARE",
    help="How sure a verdict has to be: 0.95 (the default), 99%, or observed: the figures as seen, however few requests.",
)
@click.option(
    "--seed", metavar="N", type=click.IntRange(min=0), help="Send the same bytes again (default: new prompts each run)."
)
@click.option("--replay", metavar="DIR", help="Send what the run in DIR sent, byte for byte; refused where it would differ.")
@click.option(
    "--workers", metavar="N", type=click.IntRange(min=1), help="Load processes that send (default: as many as the load needs)."
)
@click.option("--extra-body", metavar="JSON", help="Fields for every request, such as '{\"ignore_eos\": true}'.")
@click.option("--first-token-limit", metavar="TIME", help="Longest wait for a first token (default: 300s).")
@click.option("--stall-limit", metavar="TIME", help="Longest wait between two reads (default: 60s).")
@click.option("--total-limit", metavar="TIME", help="Longest time for one request (default: 900s).")
@click.option("--output", metavar="DIR", help="Where the files go (default: reports/runs/<run id>).")
@click.option("--quiet", "-q", is_flag=True, help="No live progress; only the result.")
@inferx_options
def run(**flags: Any) -> NoReturn:
    """
    Measure a server that is already there, without a suite.

    With any flag of InferX, --rate and --concurrency together are its open loop with a cap, and --endpoint may have a path.
    """
    try:
        sys.exit(_run(flags))
    except ConfigError as error:
        _fail(error, WRONG_USAGE)
    except InferbenchError as error:
        _fail(error, NO_VERDICT)
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)


def _run(flags: dict[str, Any]) -> int:
    from pytest_inferbench.single_run import SingleRun, cases_from_flags, replayed_case  # noqa: PLC0415 - keeps --help fast

    context = click.get_current_context()
    given = {name for name in flags if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    with inferx_names(given):
        flags = as_native(flags, given)
        cases = cases_from_flags(flags) if flags["replay"] is None else (replayed_case(flags, given),)
        single = SingleRun(cases, flags, again=again_command(sys.argv[1:]))
    try:
        result = single.measure()
    except InferbenchError as error:
        single.show()
        code = WRONG_USAGE if isinstance(error, ConfigError) else NO_VERDICT
        _fail(error, code, brief=single.explained)
    except KeyboardInterrupt:
        single.show()
        raise
    single.show()
    return _exit_code(result)


@main.command()
def doctor() -> None:
    """Say what this machine can run, what is missing, and the command that mends it."""
    from pytest_inferbench.doctor import checkup  # noqa: PLC0415 - keeps --help fast

    checks = checkup()
    width = max(len(check.name) for check in checks)
    for check in checks:
        mark = click.style("ok     ", fg="green") if check.ok else click.style("missing", fg="yellow")
        click.echo(f"{mark}  {check.name:<{width}}  {check.found}")
        if not check.ok and check.mend:
            click.echo(f"{'':9}{'':<{width}}  -> {check.mend}")


@main.command()
def calibrate() -> None:
    """Say how right times measured on this machine are, as it is now: held against a server of known timing (10 s)."""
    from pytest_inferbench.load import calibrate as calibration  # noqa: PLC0415 - keeps --help fast
    from pytest_inferbench.reporting.calibration import calibration_lines  # noqa: PLC0415 - keeps --help fast

    try:
        for line in calibration_lines(calibration.calibrate()):
            click.echo(line)
    except InferbenchError as error:
        _fail(error, NO_VERDICT)


_SELECTION = (
    click.argument("suites", nargs=-1, required=True, metavar="SUITE..."),
    click.option("-k", "keyword", metavar="EXPR", default="", help="Cases whose ids match, as pytest's -k does."),
    click.option("-m", "markers", metavar="EXPR", default="", help="Cases by their marks, such as 'case(tp=2)'."),
)


def _with_selection(command: Callable[..., None]) -> Callable[..., None]:
    for part in reversed(_SELECTION):
        command = part(command)
    return command


@main.command(epilog=_STEP_CODES)
@_with_selection
def prepare(suites: tuple[str, ...], keyword: str, markers: str) -> None:
    """See that the servers of a suite could start here: hardware, models, programs; images are fetched."""
    from pytest_inferbench import steps  # noqa: PLC0415 - keeps --help fast
    from pytest_inferbench.steps_selection import selected, servers_of  # noqa: PLC0415 - as above

    with _step():
        servers = servers_of(selected(suites, keyword=keyword, markers=markers))
        _say_outcomes(steps.prepare(server, progress=_say_progress) for server in servers)


@main.command(epilog=_STEP_CODES)
@_with_selection
def up(suites: tuple[str, ...], keyword: str, markers: str) -> None:
    """Start the servers of a suite, wait until each answers, and leave them up; one that fails leaves the others."""
    from pytest_inferbench import steps  # noqa: PLC0415 - keeps --help fast
    from pytest_inferbench.records.run_directory import new_run_id  # noqa: PLC0415 - as above
    from pytest_inferbench.steps_selection import selected, servers_of  # noqa: PLC0415 - as above

    with _step():
        servers = servers_of(selected(suites, keyword=keyword, markers=markers))
        run_id = new_run_id(datetime.now().astimezone())
        deployment = steps.Deployment(run_id=run_id, folder=steps.SERVER_LOGS / run_id, progress=_say_progress)
        try:
            _say_outcomes(deployment.up(server) for server in servers)
        finally:
            click.echo(
                f"measure with: pytest {shlex.join(suites)} --inferbench-reuse-servers\nstop with:    inferbench down {run_id}"
            )


@main.command(epilog=_STEP_CODES)
def status() -> None:
    """Show what runs of this user keep up, use or have left behind on this machine."""
    from pytest_inferbench import steps  # noqa: PLC0415 - keeps --help fast

    with _step():
        found, unseen = steps.look()
        for line in steps.found_lines(found) or ["nothing is up and nothing is left"]:
            click.echo(line)
        if unseen is not None:
            click.echo(f"containers were not looked for: {unseen}", err=True)


@main.command(epilog=_STEP_CODES)
@click.argument("run_id", required=False)
@click.option("--all", "every", is_flag=True, help="What was kept, and what runs that were killed have left.")
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
def down(run_id: str | None, *, every: bool, dry_run: bool) -> None:
    """
    Stop servers that were kept, and show what goes; nothing is asked.

    RUN_ID: everything of that run, in use or not. With --all: what was kept, and what killed runs have left behind. With
    neither: what was kept.
    """
    from pytest_inferbench import steps  # noqa: PLC0415 - keeps --help fast
    from pytest_inferbench.launch.leftovers import remove  # noqa: PLC0415 - as above

    with _step():
        if run_id is not None and every:
            raise ConfigError("give a run, or --all")
        found, unseen = steps.look()
        if unseen is not None:
            click.echo(f"containers were not looked for: {unseen}", err=True)
        wanted = steps.chosen(found, run_id=run_id, every=every)
        for line in steps.found_lines(wanted) or ["there is nothing to remove"]:
            click.echo(line)
        if not dry_run:
            cleaned = remove(wanted)
            for trouble in cleaned.troubles:
                click.echo(f"{click.style('error', fg='red')}: {trouble}", err=True)
            click.echo(f"removed: {len(cleaned.removed)}")
            sys.exit(MISSED if cleaned.troubles else PASSED)


@main.command(epilog=_STEP_CODES)
@click.argument("run_dir", type=click.Path(exists=True, file_okay=False, path_type=Path))
def collect(run_dir: Path) -> None:
    """Write results.json and results.csv of a run again, from its cases' folders."""
    from pytest_inferbench import steps  # noqa: PLC0415 - keeps --help fast

    with _step():
        collected = steps.collect(run_dir)
        counts = Counter(record.verdict.outlook for record in collected.records)
        click.echo(f"{len(collected.records)} cases: {', '.join(f'{count} {outlook}' for outlook, count in counts.items())}")
        for path in collected.files:
            click.echo(str(path))
        for note in collected.notes:
            click.echo(note)
        for trouble in collected.troubles:
            click.echo(f"{click.style('error', fg='red')}: {redact_text(trouble)}", err=True)
        sys.exit(MISSED if collected.troubles else PASSED)


@contextmanager
def _step() -> Iterator[None]:
    """Errors and Ctrl-C as exit codes, in words."""
    try:
        yield
    except ConfigError as error:
        _fail(error, WRONG_USAGE)
    except InferbenchError as error:
        _fail(error, MISSED)
    except KeyboardInterrupt:
        click.echo("interrupted; what was done until then is as it is: see inferbench status", err=True)
        sys.exit(INTERRUPTED)


def _say_progress(words: str) -> None:
    click.echo(f"       {redact_text(words)}", err=True)


def _say_outcomes(outcomes: Iterable[Outcome]) -> None:
    """Each as it comes; exits with what they are together."""
    failed = 0
    for outcome in outcomes:
        mark = click.style("ok    ", fg="green") if outcome.trouble is None else click.style("failed", fg="red")
        click.echo(f"{mark} {outcome.server.words}")
        for line in (*outcome.lines, *([outcome.trouble] if outcome.trouble is not None else [])):
            click.echo("       " + redact_text(line).replace("\n", "\n       "))
        failed += outcome.trouble is not None
    if failed:
        sys.exit(MISSED)


@main.command()
def schema() -> None:
    """Print the JSON Schema of suite files, for editors."""
    from pytest_inferbench.cases.suite import suite_json_schema  # noqa: PLC0415 - keeps --help fast

    click.echo(json.dumps(suite_json_schema(), indent=2))


def again_command(arguments: Sequence[str]) -> str:
    """The command line without its output folder, which is never used twice."""
    kept: list[str] = []
    left_out = False
    for argument in arguments:
        if not left_out and not argument.startswith(("--output=", "--outdir=")):
            kept.append(argument)
        left_out = argument in _FOLDER_FLAGS
    return shlex.join(["inferbench", *(argument for argument in kept if argument not in _FOLDER_FLAGS)])


def _exit_code(result: Result) -> int:
    from pytest_inferbench.objectives.verdict import Outlook  # noqa: PLC0415 - keeps --help fast

    codes = {Outlook.PASS: PASSED, Outlook.FAIL: MISSED}
    return codes.get(result.verdict.outlook, NO_VERDICT)


def _fail(error: InferbenchError, code: int, *, brief: bool = False) -> NoReturn:
    """Print an error and exit; ``brief`` where the rest of it was printed already."""
    text = str(error).partition("\n")[0] if brief else str(error)
    # The stages know the plugin's flags; here they are shorter.
    text = redact_text("\n".join([text, *getattr(error, "__notes__", ())])).replace("--inferbench-", "--")
    click.echo(f"{click.style('error', fg='red')}: {text}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
