"""
llama.cpp's own HTTP server as a program: ``python -m pytest_inferbench.launch.llamacpp_server --model FILE``.

It runs until SIGTERM or SIGINT, and dies with the process that started it. When it listens it writes one line of JSON to
standard output; everything else, llama.cpp's own log included, goes to standard error.

Rule: this is the only module that knows `xllamacpp`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from difflib import get_close_matches
from enum import IntEnum
from typing import Any

from pytest_inferbench.launch.guard import die_with_parent
from pytest_inferbench.launch.port import is_taken

EXIT_USAGE = 2
EXIT_NOT_STARTED = 1


class BadOption(Exception):
    """An option of llama.cpp that is not there, or a value that it does not take."""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to stop; 0 after that, 1 where the server would not start, 2 for wrong usage."""
    options = _parser().parse_args(argv)
    # SIGKILL, not SIGTERM: while llama.cpp loads a model no Python signal handler runs.
    die_with_parent(signal.SIGKILL)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    import xllamacpp  # noqa: PLC0415 - after the options were found good, since it takes a while

    params = xllamacpp.CommonParams()
    try:
        configure(params, options)
    except BadOption as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_USAGE
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        # llama.cpp logs from a thread, whose last words may be lost: this one decides whether another port is tried.
        why = f"port {options.port} is already in use" if options.port and is_taken(options.port) else error
        sys.stderr.write(f"error: llama.cpp did not start (its own words are above): {why}\n")
        return EXIT_NOT_STARTED
    sys.stdout.write(json.dumps({"listening": server.listening_address, "pid": os.getpid()}) + "\n")
    sys.stdout.flush()
    stop.wait()
    return 0


def configure(params: Any, options: argparse.Namespace) -> None:
    """
    Write the options into llama.cpp's parameters.

    Raises:
        BadOption: there is no such parameter, or the value is of another kind.
    """
    params.model.path = options.model
    params.hostnames = [options.host]
    params.port = options.port
    params.model_alias = {options.alias}
    params.n_parallel = options.parallel
    params.n_ctx = options.ctx
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    params.endpoint_metrics = True
    params.endpoint_slots = True
    params.warmup = True
    if os.environ.get("LLAMA_API_KEY"):
        params.api_keys = [os.environ["LLAMA_API_KEY"]]
    for setting in options.set:
        name, equals, text = setting.partition("=")
        if not equals:
            raise BadOption(f"--set {setting}: write NAME=VALUE")
        set_option(params, name, text)


def set_option(params: Any, name: str, text: str) -> None:
    """
    Set one parameter by name (``n_batch``, ``cpuparams.poll``) from text, as the kind of value it has now.

    Raises:
        BadOption: there is no such parameter, or the value is of another kind.
    """
    *path, last = name.split(".")
    target = params
    for part in path:
        target = getattr(target, _known(target, part, whole=name))
    present = getattr(target, _known(target, last, whole=name))
    try:
        value = _parsed(present, text)
        setattr(target, last, value)
    except (ValueError, TypeError) as error:
        raise BadOption(f"the option {name!r} does not take {text!r}: {error}") from error


def _known(target: Any, name: str, *, whole: str) -> str:
    names = [known for known in dir(target) if not known.startswith("_")]
    if name not in names:
        near = get_close_matches(name, names, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "see dir(xllamacpp.CommonParams())"
        raise BadOption(f"llama.cpp has no option {whole!r}; {hint}")
    return name


def _parsed(present: Any, text: str) -> Any:
    if isinstance(present, bool):
        if text.lower() not in {"true", "false"}:
            raise ValueError("say true or false")
        return text.lower() == "true"
    if isinstance(present, IntEnum):
        return _enum_member(type(present), text)
    if isinstance(present, int | float | str):
        return type(present)(text)
    if isinstance(present, list | set) and all(isinstance(item, str) for item in present):
        return type(present)(text.split(","))
    raise ValueError(f"a {type(present).__name__} cannot be written as one word")


def _enum_member(kind: type[IntEnum], text: str) -> IntEnum:
    for member in kind:
        if text.upper() == member.name or member.name.endswith(f"_{text.upper()}") or text == str(member.value):
            return member
    raise ValueError(f"say one of {', '.join(member.name for member in kind)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pytest_inferbench.launch.llamacpp_server", description="Serve a GGUF model.")
    parser.add_argument("--model", required=True, metavar="FILE", help="the GGUF file")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on, such as 0.0.0.0 in a container")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument("--alias", default="model", help="the name requests use")
    parser.add_argument("--parallel", type=int, default=4, help="requests served at once (default 4)")
    parser.add_argument("--ctx", type=int, default=8192, help="tokens of context, shared by them (default 8192)")
    parser.add_argument("--threads", type=int, default=_cores(), help="threads that compute (default: all cores)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any other parameter of llama.cpp")
    return parser


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    # The interpreter is left at once: tearing down llama.cpp's threads may take longer than stopping should.
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
