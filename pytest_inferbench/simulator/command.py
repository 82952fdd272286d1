"""
``inferbench simulate``: a model server that only behaves like one.

Rule: whatever it prints, serves or ends with says that nothing here is measured.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any, NoReturn

import click

from pytest_inferbench.errors import ConfigError, InferbenchError

if TYPE_CHECKING:
    from pytest_inferbench.simulator.deployment import Deployment
    from pytest_inferbench.simulator.server.server import SimulatedServer
    from pytest_inferbench.simulator.server.settings import Settings

_YOUNG_OBJECTS = 50_000
ENDED, FAILED, WRONG_USAGE = 0, 1, 2
_EPILOG = """\b
After -- come the engine's own flags: inferbench simulate --model llama-3.1-8b -- --max-num-seqs 64
Exit codes: 0 stopped (Ctrl-C, SIGTERM) · 1 the model does not fit, or a fault ended it · 2 wrong usage"""


@click.command(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--hardware", metavar="NAME", default="h100", show_default=True, help="What is simulated: h100, l4, mi300x, cpu ..."
)
@click.option(
    "--engine", metavar="NAME", default="vllm", show_default=True, help="Whose batching, API and metrics: vllm, sglang ..."
)
@click.option("--model", metavar="NAME", required=True, help="A catalogue name, a hub name, or the path of a config.json.")
@click.option("--tp", metavar="N", type=click.IntRange(min=1), default=1, show_default=True, help="GPUs that share the model.")
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", metavar="N", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@click.option("--served-model-name", metavar="NAME", help="What requests call the model (default: as --model has it).")
@click.option(
    "--seed", metavar="N", type=int, default=0, show_default=True, help="Of words, lengths, and which requests are refused."
)
@click.option(
    "--startup-scale",
    metavar="X",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Share of the simulated start-up time that is really waited.",
)
@click.option("--fault", "faults", metavar="NAME=VALUE", multiple=True, help="Something to go wrong, such as error-rate=429:0.1.")
@click.option(
    "--step-time", metavar="TIME", help="Let every step take this, whatever the model says; to rehearse the server itself."
)
@click.argument("engine_flags", nargs=-1, type=click.UNPROCESSED, metavar="[-- ENGINE FLAGS]")
def simulate(**flags: Any) -> NoReturn:
    """
    Serve a model that is not there, on hardware that is not there.

    The server speaks the engine's API with made-up words; a step model of the hardware says when each token leaves. NOTHING IT
    SAYS OR DOES IS MEASURED, and its Server header, /version, /v1/models and /metrics all say so.
    """
    try:
        sys.exit(_serve(flags))
    except ConfigError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(WRONG_USAGE)
    except InferbenchError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(FAILED)


def _serve(flags: dict[str, Any]) -> int:
    from pytest_inferbench.simulator.server.server import Crashed, SimulatedServer  # noqa: PLC0415 - keeps --help fast

    settings = _settings(flags)
    server = SimulatedServer(settings)
    listener = bound(flags["host"], flags["port"])
    if settings.start_s:
        click.echo(f"starting; ready in {settings.start_s:.1f} s (simulated)", err=True)
    _collect_seldom()
    try:
        asyncio.run(_until_told(server, listener))
    except Crashed as error:
        click.echo(str(error), err=True)
        return FAILED
    figures = server.figures
    click.echo(
        f"stopped after {figures.requests} requests and {figures.tokens} tokens, {figures.late_tokens} of them late (simulated)",
        err=True,
    )
    return ENDED


def _collect_seldom() -> None:
    """Leave what is here now alone from here on: a collection that looks at all of it again would make tokens late."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 100)


async def _until_told(server: SimulatedServer, listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)
    host, port = listener.getsockname()[:2]
    facts = server.facts
    where = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    what = f"{facts.model} on {facts.tensor_parallel} x {facts.hardware} under {facts.engine}"
    await server.serve(listener, ready=lambda: click.echo(f"ready at {where}: {what}, simulated: nothing is measured"))


def _settings(flags: dict[str, Any]) -> Settings:
    from pytest_inferbench.simulator.faults import FaultPlan  # noqa: PLC0415 - as above
    from pytest_inferbench.simulator.roofline import weight_bytes  # noqa: PLC0415 - as above
    from pytest_inferbench.simulator.server.settings import Settings  # noqa: PLC0415 - as above
    from pytest_inferbench.units import duration_s  # noqa: PLC0415 - as above

    deployment = _deployment(flags)
    engine = deployment.engine
    startup_s = engine.start_s + weight_bytes(deployment.model) / engine.load_bytes_per_s
    return Settings(
        deployment=deployment,
        model=flags["served_model_name"] or flags["model"],
        version=metadata.version("pytest-inferbench"),
        seed=flags["seed"],
        faults=FaultPlan.parse(flags["faults"]),
        step_s=None if flags["step_time"] is None else duration_s(flags["step_time"]),
        start_s=startup_s * flags["startup_scale"],
    )


def _deployment(flags: dict[str, Any]) -> Deployment:
    from pytest_inferbench.simulator.hardware import accelerator  # noqa: PLC0415 - as above
    from pytest_inferbench.simulator.profiles import deployed  # noqa: PLC0415 - as above
    from pytest_inferbench.simulator.shapes import shape  # noqa: PLC0415 - as above

    return deployed(
        accelerator(flags["hardware"]),
        shape(flags["model"]),
        engine=flags["engine"],
        arguments=pairs(flags["engine_flags"]),
        tensor_parallel=flags["tp"],
    )


def pairs(words: Sequence[str]) -> tuple[tuple[str, str | None], ...]:
    """
    An engine's flags as names and values: ``--name value``, ``--name=value``, or ``--name`` alone.

    Raises:
        ConfigError: a word is neither a flag nor the value of one.
    """
    found: list[tuple[str, str | None]] = []
    waits = False
    for word in words:
        if word.startswith("-") and not _is_number(word):
            name, is_given, value = word.lstrip("-").partition("=")
            found.append((name, value if is_given else None))
            waits = not is_given
        elif waits:
            found[-1] = (found[-1][0], word)
            waits = False
        else:
            raise ConfigError(f"{word!r} is no flag and no value of one; an engine's flags are --NAME VALUE or --NAME=VALUE")
    return tuple(found)


def _is_number(word: str) -> bool:
    return word.lstrip("-").replace(".", "", 1).isdigit()


def bound(host: str, port: int) -> socket.socket:
    """
    A socket at this address, on which nobody listens yet.

    Raises:
        ConfigError: the address cannot be had.
    """
    _raise_file_limit()
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"{host!r} is no address of this machine: {error.strerror}", file="--host") from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted connections inherit it
    listener.settimeout(0)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}; choose another --port", file="--port") from error
    return listener


def _raise_file_limit() -> None:
    """A descriptor a connection."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
