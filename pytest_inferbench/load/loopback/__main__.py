"""The loopback server as a program: ``python -m pytest_inferbench.load.loopback``."""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import TextIO

from pytest_inferbench.load.loopback.schedule import Schedule
from pytest_inferbench.load.loopback.server import Server

_PR_SET_PDEATHSIG = 1
_LISTEN_BACKLOG = 4096
_LOG_BUFFER_BYTES = 256 * 1024


def _end_with(parent_pid: int) -> None:
    """Have the kernel end this process when the thread that started it ends, and end now where that is already over."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent_pid:
        sys.exit("the process that started the loopback server is gone")


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(_LISTEN_BACKLOG)
    listener.settimeout(0)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted connections inherit it
    return listener


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pytest_inferbench.load.loopback", description="An OpenAI-compatible server with a known schedule."
    )
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one (default)")
    parser.add_argument("--ttft-ms", type=float, default=100.0, help="wait before the first token (default 100)")
    parser.add_argument("--itl-ms", type=float, default=20.0, help="wait between two tokens (default 20)")
    parser.add_argument("--tokens", type=int, default=64, help="tokens of a request without max_tokens (default 64)")
    parser.add_argument("--tokens-per-chunk", type=int, default=1, help="tokens in one event (default 1)")
    parser.add_argument("--jitter", type=float, default=0.0, help="share by which waits get longer at random, 0 to below 1")
    parser.add_argument("--role-chunk", action="store_true", help="send an event with a role and no text at once")
    parser.add_argument("--log", type=Path, help="CSV file: a row a request")
    parser.add_argument("--times", type=Path, help="CSV file: the id of a request, then the instant of each token")
    parser.add_argument("--cpu", type=int, help="run on this CPU only")
    parser.add_argument("--parent", type=int, help="end when this process, which must be the one that starts it, ends")
    return parser


def _written(path: Path | None) -> AbstractContextManager[TextIO | None]:
    return nullcontext() if path is None else path.open("w", _LOG_BUFFER_BYTES)


def _schedule(options: argparse.Namespace) -> Schedule:
    return Schedule(
        ttft_ms=options.ttft_ms,
        itl_ms=options.itl_ms,
        tokens=options.tokens,
        tokens_per_chunk=options.tokens_per_chunk,
        jitter=options.jitter,
        role_chunk=options.role_chunk,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM: print one JSON line with the port when listening, and one with the counts at the end."""
    parser = _arguments()
    options = parser.parse_args(arguments)
    if problem := _schedule(options).problem():
        parser.error(problem)
    if options.parent is not None:
        _end_with(options.parent)
    if options.cpu is not None:
        os.sched_setaffinity(0, {options.cpu})
    files_max = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files_max, files_max))  # a descriptor a connection
    with ExitStack() as stack:
        try:
            listener = stack.enter_context(_listen(options.port))
        except OSError as error:
            parser.error(f"cannot listen on 127.0.0.1:{options.port}: {error.strerror}")
        log, times = (
            path and stack.enter_context(path.open("w", _LOG_BUFFER_BYTES, newline="")) for path in (options.log, options.times)
        )
        server = Server(listener, _schedule(options), log=log, times=times)
        _say(port=listener.getsockname()[1], pid=os.getpid())
        # Objects here make no cycles that matter, and a collection in the middle of a burst would make tokens late.
        gc.freeze()
        gc.disable()
        server.run()
    _say(requests=server.requests, aborted=server.aborted, stalls=server.stalls)


def _say(**facts: int) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
