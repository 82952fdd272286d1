import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.devices import quarantine
from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.devices.lock_file import SOMEBODY, holder_sentence
from pytest_inferbench.devices.quarantine import TOLERANCE_BYTES, Quarantine, excess, mark, read_mark, still_holds
from pytest_inferbench.devices.usage import GpuProcess, Usage

GIB = 1024**3
GPU = Gpu(index=3, uuid="GPU-3", name="h100", memory_total_bytes=80 * GIB)
BEFORE = Usage(memory_used_bytes=GIB)


@pytest.mark.parametrize("now", [Usage(memory_used_bytes=GIB + TOLERANCE_BYTES), Usage(memory_used_bytes=0), Usage()])
def test_memory_that_is_back_or_cannot_be_told_is_no_reason(now: Usage) -> None:
    assert excess(GPU, before=BEFORE, now=now) is None
    assert excess(GPU, before=Usage(), now=now) is None


def test_memory_that_is_not_back_is_counted_and_its_user_named() -> None:
    now = Usage(memory_used_bytes=5 * GIB)
    assert excess(GPU, before=BEFORE, now=now) == "gpu 3 (h100) has 4.0 GiB more memory in use than before its server ran"
    now = Usage(memory_used_bytes=5 * GIB, processes=(GpuProcess(pid=7, name="python"),))
    assert (excess(GPU, before=BEFORE, now=now) or "").endswith("its server ran, with process 7 (python) on it")


def test_a_mark_holds_until_the_memory_is_back() -> None:
    found = read_mark(mark("it leaks", before=BEFORE))
    assert found is not None
    assert still_holds(found, Usage(memory_used_bytes=GIB + TOLERANCE_BYTES)) is None
    assert still_holds(found, Usage()) == f"in quarantine since {found.since}: it leaks"
    assert still_holds(found, Usage(memory_used_bytes=2 * GIB)) is not None
    assert holder_sentence(mark("it leaks", before=BEFORE)) == SOMEBODY


def test_a_mark_means_nothing_after_the_next_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    content = mark("it leaks", before=BEFORE)
    monkeypatch.setattr(quarantine, "boot_id", lambda: "another")
    assert read_mark(content) is None


def test_where_boots_cannot_be_told_apart_they_are_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(quarantine, "_BOOT_ID", tmp_path / "nothing")
    quarantine.boot_id.cache_clear()
    assert quarantine.boot_id() == ""
    assert read_mark(mark("it leaks", before=BEFORE)) is not None
    quarantine.boot_id.cache_clear()


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"\xff", b'{"pid": 1}', b'{"quarantine": 1}', b'{"quarantine": {"reason": "x"}}'],
)
def test_what_is_no_mark_is_none(content: bytes) -> None:
    assert read_mark(content) is None


def test_a_mark_of_unlimited_memory_is_none() -> None:
    fields = {"reason": "x", "since": "now", "boot": quarantine.boot_id(), "memory_used_bytes_max": float("inf")}
    assert read_mark(json.dumps({"quarantine": fields}).encode()) is None


@given(st.text(), st.text())
def test_what_others_wrote_cannot_break_a_terminal(reason: str, since: str) -> None:
    fields = {"reason": reason, "since": since, "boot": quarantine.boot_id(), "memory_used_bytes_max": 1}
    found = read_mark(json.dumps({"quarantine": fields}).encode())
    assert isinstance(found, Quarantine)
    assert (still_holds(found, Usage()) or "").isprintable()
