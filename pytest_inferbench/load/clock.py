"""
The one clock: CLOCK_MONOTONIC in nanoseconds, and how the kernel's wall-clock receive stamps are moved onto it.

Rule: figures are differences of monotonic times; the wall clock is a label.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import time

monotonic_ns = time.perf_counter_ns if sys.platform == "linux" else time.monotonic_ns
"""Now, in nanoseconds of CLOCK_MONOTONIC (which is what ``perf_counter_ns`` reads on Linux)."""

# The socket module does not name it; 35 on every Linux architecture but SPARC and PA-RISC (asm-generic/socket.h).
SO_TIMESTAMPNS = 35
_TRIES = 100
_PATIENCE_S = 1.0
STAMP = struct.Struct("qq")
STAMP_SPACE = socket.CMSG_SPACE(STAMP.size)


def wall_offset_ns(samples: int = 50) -> int:
    """
    What to add to a monotonic time to get nanoseconds since the epoch.

    The wall clock is read between two monotonic reads; of all samples the one with the shortest gap counts, so that a
    preempted read does not shift the result.
    """
    best_gap = best = 1 << 62
    for _ in range(samples):
        before = monotonic_ns()
        wall = time.time_ns()
        gap = monotonic_ns() - before
        if gap < best_gap:
            best_gap = gap
            best = wall - (before + gap // 2)
    return best


def hold_stamps() -> contextlib.AbstractContextManager[object]:
    """
    Have the kernel's stamps on when the load begins, and keep them on until what is returned is closed.

    The first socket of a machine that asks for stamps gets them only a moment later (the kernel patches its own code for it),
    and what comes in before then has none. So a byte is sent through the loopback interface until one is stamped.
    """
    held = contextlib.ExitStack()
    with contextlib.suppress(OSError):
        server = held.enter_context(socket.create_server(("127.0.0.1", 0)))
        sender = held.enter_context(socket.create_connection(server.getsockname(), timeout=_PATIENCE_S))
        receiver, _ = server.accept()
        held.enter_context(receiver)
        receiver.settimeout(_PATIENCE_S)
        if ask_for_stamps(receiver):
            for _ in range(_TRIES):
                sender.sendall(b"x")
                if receiver.recvmsg(1, STAMP_SPACE)[1]:
                    break
                time.sleep(_PATIENCE_S / _TRIES)
    return held


def ask_for_stamps(sock: socket.socket) -> bool:
    """Ask the kernel to stamp what it receives on this socket; False where it can't."""
    if sys.platform != "linux":
        return False
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    except OSError:
        return False
    return True
