"""How much memory a server takes, and how much is free beside it."""

from __future__ import annotations

from pathlib import Path

from pytest_inferbench.launch.group import members

CGROUP = Path("/sys/fs/cgroup")


def memory_bytes(pid: int) -> tuple[int, int] | None:
    """What a server's processes take and what is free beside them, in bytes; None where the system does not tell."""
    found = (_status_bytes(Path(f"/proc/{each}/status"), "VmRSS") for each in members(pid))
    taken = [each for each in found if each is not None]
    free = _status_bytes(Path("/proc/meminfo"), "MemAvailable")
    if not taken or free is None:
        return None
    limit = cgroup_free_bytes(CGROUP)
    return sum(taken), free if limit is None else min(free, limit)


def cgroup_free_bytes(folder: Path) -> int | None:
    """
    What is left of the limit that a container is given, in bytes; None where there is none.

    Limit - (current - inactive_file): pages of files that nobody uses are given up when somebody needs them.
    """
    try:
        limit, used = ((folder / name).read_text(encoding="ascii").strip() for name in ("memory.max", "memory.current"))
        stat = (folder / "memory.stat").read_text(encoding="ascii").split()
    except OSError:
        return None
    unused = int(stat[stat.index("inactive_file") + 1]) if "inactive_file" in stat else 0
    return int(limit) - int(used) + unused if limit.isdecimal() else None


def _status_bytes(path: Path, name: str) -> int | None:
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    found = next((line.split() for line in lines if line.startswith(f"{name}:")), None)
    return int(found[1]) * 1024 if found else None
