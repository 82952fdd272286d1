"""One clock, and the way from the kernel's stamps to it."""

from __future__ import annotations

import socket
import sys
import time

import pytest

from pytest_inferbench.load import clock
from pytest_inferbench.load.clock import STAMP, STAMP_SPACE, ask_for_stamps, hold_stamps, monotonic_ns, wall_offset_ns


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere perf_counter may be another clock")
def test_now_is_a_time_of_clock_monotonic() -> None:
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    now = monotonic_ns()
    assert before <= now <= time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def test_the_offset_leads_from_the_monotonic_to_the_wall_clock() -> None:
    before = time.time_ns()
    shown = monotonic_ns() + wall_offset_ns()
    assert abs(shown - before) < 60_000_000_000


def test_the_sample_with_the_shortest_gap_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    # Gaps of 100, 10 and 50 ns; only in the second is the wall clock where it should be.
    monkeypatch.setattr(clock, "monotonic_ns", iter([0, 100, 200, 210, 300, 350]).__next__)
    monkeypatch.setattr(time, "time_ns", iter([9_000, 5_205, 9_000]).__next__)
    assert wall_offset_ns(3) == 5_000


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has SO_TIMESTAMPNS")
def test_the_kernel_stamps_what_it_receives_between_send_and_read() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    with hold_stamps(), server, socket.create_connection(server.getsockname()) as client:
        peer, _ = server.accept()
        with peer:
            assert ask_for_stamps(client)
            before = time.time_ns()
            peer.sendall(b"x")
            data, ancillary, _, _ = client.recvmsg(10, STAMP_SPACE)
            after = time.time_ns()
    seconds, nanoseconds = STAMP.unpack(ancillary[0][2])
    assert data == b"x"
    assert before <= seconds * 1_000_000_000 + nanoseconds <= after


def test_a_socket_that_cannot_stamp_is_not_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as sock:
        sock.close()
        assert not ask_for_stamps(sock)
    monkeypatch.setattr(sys, "platform", "darwin")
    with socket.socket() as sock:
        assert not ask_for_stamps(sock)


def test_a_machine_without_a_loopback_interface_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no such address")

    monkeypatch.setattr(socket, "create_server", refuse)
    with hold_stamps():
        pass
