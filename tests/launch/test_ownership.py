import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_inferbench.launch import ownership
from pytest_inferbench.launch.ownership import (
    BOOT,
    HOST,
    KEY,
    OWNER,
    OWNER_START,
    PID_NAMESPACE,
    RUN,
    Place,
    labels_for,
    owner_alive,
    start_time,
    this_place,
)

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen((sys.executable, "-I", "-S", "-c", "input()"), stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def labels_of(pid: int) -> dict[str, str]:
    return {**labels_for("r1", "k1"), OWNER: str(pid), OWNER_START: start_time(pid) or ""}


def test_labels_name_the_run_the_key_and_this_process() -> None:
    labels = labels_for("20261122-1", "abc")
    assert labels[RUN] == "20261122-1"
    assert labels[KEY] == "abc"
    assert labels[OWNER] == str(os.getpid())
    assert labels[HOST].startswith(socket.gethostname())
    assert set(labels) == {RUN, HOST, BOOT, PID_NAMESPACE, OWNER, OWNER_START, KEY}
    assert all(name.startswith("org.pytest-inferbench.") for name in labels)


def test_what_is_no_servers_has_no_key() -> None:
    assert KEY not in labels_for("r1")


def test_this_process_is_alive() -> None:
    assert owner_alive(labels_for("r1", "k1"))


def test_an_owner_that_ended_is_dead(child: subprocess.Popen[bytes]) -> None:
    labels = labels_of(child.pid)
    assert owner_alive(labels)
    child.kill()
    child.wait()
    assert not owner_alive(labels)


@LINUX
def test_an_owner_that_ended_and_is_not_reaped_is_dead(child: subprocess.Popen[bytes]) -> None:
    labels = labels_of(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not owner_alive(labels)


@LINUX
def test_a_number_that_is_somebody_elses_by_now_is_no_owner(child: subprocess.Popen[bytes]) -> None:
    assert not owner_alive({**labels_of(child.pid), OWNER_START: "1"})


def test_whatever_ran_before_the_last_boot_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = labels_for("r1", "k1")
    now = this_place()
    place = Place(host=now.host, boot="another", pid_namespace=now.pid_namespace)
    labels[BOOT] = "one"
    monkeypatch.setattr(ownership, "this_place", lambda: place)
    assert not owner_alive(labels)


@pytest.mark.parametrize(
    "strange",
    [{HOST: "elsewhere"}, {PID_NAMESPACE: "pid:[1]"}, {OWNER: ""}, {OWNER: "one"}, {OWNER: "9" * 30}],
    ids=["another host", "another PID namespace", "no owner", "no number", "a number too large"],
)
def test_an_owner_that_cannot_be_seen_from_here_is_taken_to_live(strange: dict[str, str]) -> None:
    assert owner_alive({**labels_for("r1", "k1"), OWNER_START: "1", **strange})


def test_something_without_our_labels_is_left_alone() -> None:
    assert owner_alive({})


def test_a_process_that_proc_hides_is_asked_for_by_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "start_time", lambda _: None)
    monkeypatch.setattr(Path, "exists", lambda _: False)
    labels = labels_for("r1", "k1")
    assert owner_alive(labels)

    def refuse(_pid: int, _number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert owner_alive(labels)


def test_a_host_is_told_by_its_name_where_it_has_no_machine_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "_first_line", lambda _: "")
    assert this_place().host == socket.gethostname()
    assert this_place().boot == ""


def test_the_machine_id_itself_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "_first_line", lambda _: "0123456789abcdef0123456789abcdef")
    assert "0123456789abcdef" not in this_place().host
    assert this_place().host != socket.gethostname()


@LINUX
def test_a_start_time_is_that_of_the_process(child: subprocess.Popen[bytes]) -> None:
    own, its = start_time(os.getpid()), start_time(child.pid)
    assert own is not None
    assert its is not None
    assert int(own) <= int(its)
    assert start_time(2**22 + 5) is None
