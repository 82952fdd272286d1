"""
Whose a container or network is: labels that say which process of which boot of which host made it, and whether that one lives.

Rule: what cannot be told is taken to be alive. Leaving a dead owner's container behind costs memory; ending a living one's
spoils somebody's measurement.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_PREFIX = "org.pytest-inferbench"
RUN = f"{_PREFIX}.run"
HOST = f"{_PREFIX}.host"
BOOT = f"{_PREFIX}.boot"
PID_NAMESPACE = f"{_PREFIX}.pid-namespace"
OWNER = f"{_PREFIX}.owner"
OWNER_START = f"{_PREFIX}.owner-start"
KEY = f"{_PREFIX}.key"

_MACHINE_ID_FILES = ("/etc/machine-id", "/var/lib/dbus/machine-id")
# proc_pid_stat(5): starttime is field 22; state is field 3, the first one after the name in brackets.
_START_TIME_AFTER_NAME = 22 - 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where process ids mean something: a host, since its last boot, in one PID namespace; empty where it is not known."""

    host: str
    boot: str
    pid_namespace: str


def labels_for(run_id: str, key: str = "") -> dict[str, str]:
    """
    The labels of what this process makes for a run; ``key`` is the server's, empty for what is no server's.

    Made anew at each call: a forked child is an owner of its own.
    """
    here, pid = this_place(), os.getpid()
    labels = {
        RUN: run_id,
        HOST: here.host,
        BOOT: here.boot,
        PID_NAMESPACE: here.pid_namespace,
        OWNER: str(pid),
        OWNER_START: start_time(pid) or "",
    }
    return {**labels, KEY: key} if key else labels


def owner_alive(labels: Mapping[str, str]) -> bool:
    """Whether the process that made a thing with these labels may still run; True wherever that cannot be told from here."""
    here = this_place()
    pid = labels.get(OWNER, "")
    if not pid.isascii() or not pid.isdigit() or labels.get(HOST) != here.host:
        return True
    boot = labels.get(BOOT, "")
    if boot and here.boot and boot != here.boot:
        return False
    if labels.get(PID_NAMESPACE, "") != here.pid_namespace:
        return True
    return _runs(int(pid), started=labels.get(OWNER_START, ""))


def this_place() -> Place:
    """Where this process runs."""
    return Place(host=_host(), boot=_first_line("/proc/sys/kernel/random/boot_id"), pid_namespace=_pid_namespace())


def start_time(pid: int) -> str | None:
    """
    When a running process was started, in clock ticks since boot (field 22 of ``/proc/PID/stat``): with its number, its name.

    None where there is no such process, it is a zombie, or there is no ``/proc``.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # "pid (name) state ...": the name may hold anything, so read from its last bracket.
    fields = stat.rpartition(")")[2].split()
    if len(fields) <= _START_TIME_AFTER_NAME or fields[0] in {"Z", "X"}:
        return None
    return fields[_START_TIME_AFTER_NAME]


def _runs(pid: int, *, started: str) -> bool:
    now = start_time(pid)
    if now is not None:
        return not started or now == started
    if Path(f"/proc/{pid}/stat").exists():
        return False  # a zombie
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True  # another user's, in a /proc that hides those
    return True


def _host() -> str:
    # The machine id alone may have come with an image that many machines were made of, and is not to be shown as it is
    # (machine-id(5)): its hash tells two hosts of one name apart.
    machine = next((text for text in map(_first_line, _MACHINE_ID_FILES) if text), "")
    digest = hashlib.sha256(f"pytest-inferbench {machine}".encode()).hexdigest()[:12]
    return f"{socket.gethostname()}-{digest}" if machine else socket.gethostname()


def _pid_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace").partition("\n")[0].strip()
    except OSError:
        return ""
