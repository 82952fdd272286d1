"""Runs that are sent away and brought back; tests/integration/test_upload.py does the same with a real S3 server."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.errors import ConfigError, RecordError
from pytest_inferbench.records.artifact_manifest import manifest_of
from pytest_inferbench.records.artifact_store import Store
from pytest_inferbench.records.artifacts import FETCH_BYTES_MAX, fetch_run, size, upload_run

RUN_ID = "20261122-074501-3f9c"


def run_in(folder: Path, *, run_id: str = RUN_ID, cases: int = 3) -> Path:
    """The folder of a run, as far as an upload looks into it."""
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"run_id": run_id}))
    for i in range(cases):
        (folder / f"case-{i}").mkdir()
        (folder / f"case-{i}" / "summary.json").write_text(f'{{"case": {i}}}')
        (folder / f"case-{i}" / "requests.parquet").write_bytes(bytes([i]) * 5000)
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return run_in(tmp_path / "reports" / "runs" / RUN_ID)


@pytest.fixture(params=["file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return (tmp_path / "store").as_uri() if request.param == "file" else f"memory://{tmp_path}"


class Watched(Store):
    """A store that says what is sent, and to which something may be done first."""

    sent: list[str]
    before: Callable[[str], None]

    def below(self, name: str) -> Watched:
        found = watched(f"{self.url}/{name}")
        found.sent, found.before = self.sent, self.before
        return found

    def send(self, local: Path, path: str) -> None:
        self.before(path)
        super().send(local, path)
        self.sent.append(path)

    def send_whole(self, data: bytes, path: str) -> None:
        self.before(path)
        super().send_whole(data, path)
        self.sent.append(path)


def watched(url: str, before: Callable[[str], None] = lambda _path: None) -> Watched:
    store = Watched(url, sleep=lambda _s: None)
    store.sent, store.before = [], before
    return store


def listing(url: str) -> list[str]:
    return sorted(Store(f"{url}/{RUN_ID}").listing())


def test_a_run_that_was_uploaded_comes_back_file_by_file(run: Path, url: str, tmp_path: Path) -> None:
    uploaded, total = upload_run(run, url), manifest_of(run).size_bytes
    assert (uploaded.run_id, uploaded.url, uploaded.files, uploaded.sent_files) == (RUN_ID, f"{url}/{RUN_ID}", 7, 7)
    assert uploaded.words == f"run {RUN_ID} is in {url}/{RUN_ID}: 7 of 7 files sent, {size(total)}"
    fetched = fetch_run(f"{url}/{RUN_ID}", root=tmp_path / "other")
    assert fetched.path == tmp_path / "other" / "reports" / "runs" / RUN_ID
    assert fetched.words == (
        f"run {RUN_ID} is in {fetched.path}: 7 of 7 files fetched, {size(total)}, every SHA-256 as in its manifest"
    )
    assert manifest_of(fetched.path) == manifest_of(run)
    assert not list(fetched.path.parent.glob(".*"))


def test_the_manifest_is_sent_last(run: Path, url: str) -> None:
    store = watched(url)
    upload_run(run, url, store=store)
    assert sorted(store.sent) == listing(url)
    assert store.sent[-1] == "artifact.json"


def test_a_run_that_is_there_is_nothing_to_do(run: Path, url: str) -> None:
    upload_run(run, url)
    store = watched(url)
    assert upload_run(run, url, store=store).words == (
        f"run {RUN_ID} is in {url}/{RUN_ID} already, with the same 7 files: nothing to do"
    )
    assert store.sent == []


def test_an_upload_that_broke_off_is_gone_on_with(run: Path, url: str) -> None:
    def interrupt(path: str) -> None:
        if path == "artifact.json":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upload_run(run, url, store=watched(url, interrupt))
    store = Store(f"{url}/{RUN_ID}")
    for path in ("case-0/summary.json", "case-2/requests.parquet"):
        store.remove(path)
    with pytest.raises(RecordError, match="holds no complete run"):
        fetch_run(f"{url}/{RUN_ID}")
    again = watched(url)
    assert upload_run(run, url, store=again).sent_files == 2
    assert sorted(again.sent) == ["artifact.json", "case-0/summary.json", "case-2/requests.parquet"]


def test_an_interruption_while_files_are_sent_leaves_no_manifest_and_stops_the_rest(run: Path, url: str) -> None:
    def interrupt(path: str) -> None:
        if path == "case-1/requests.parquet":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upload_run(run, url, store=watched(url, interrupt))
    assert "artifact.json" not in listing(url)
    upload_run(run, url)
    assert len(listing(url)) == 8


def test_what_lies_damaged_in_an_unfinished_upload_is_sent_again(run: Path, url: str, tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"\xff" * 5000)
    store = watched(url)
    Store(url).below(RUN_ID).send(tmp_path / "bad", "case-1/requests.parquet")
    upload_run(run, url, store=store)
    assert "case-1/requests.parquet" in store.sent
    assert fetch_run(url, tmp_path / "back").fetched_files == 7


def test_another_state_of_a_run_is_not_overwritten(run: Path, url: str, tmp_path: Path) -> None:
    upload_run(run, url)
    (run / "case-0" / "summary.json").write_text("{}")
    (run / "more.txt").write_text("more")
    store = watched(url)
    with pytest.raises(RecordError) as caught:
        upload_run(run, url, store=store)
    assert str(caught.value) == (
        f"{url}/{RUN_ID} holds another state of run {RUN_ID}: 2 files differ, such as case-0/summary.json; a run that is there is"
        " never changed unless you say so with --overwrite"
    )
    assert store.sent == []
    assert (fetch_run(url, tmp_path / "back").path / "case-0" / "summary.json").read_text() == '{"case": 0}'


def test_another_state_replaces_it_when_told_to_and_nothing_of_the_former_is_left(run: Path, url: str, tmp_path: Path) -> None:
    upload_run(run, url)
    (run / "case-0" / "summary.json").write_text("{}")
    shutil.rmtree(run / "case-2")
    assert upload_run(run, url, overwrite=True).sent_files == 1
    assert listing(url) == sorted(["artifact.json", *(each.path for each in manifest_of(run).files)])
    assert manifest_of(fetch_run(url, tmp_path / "back").path) == manifest_of(run)


def test_a_run_is_not_there_while_it_is_overwritten(run: Path, url: str) -> None:
    upload_run(run, url)
    (run / "case-0" / "summary.json").write_text("{}")

    def interrupt(_path: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upload_run(run, url, overwrite=True, store=watched(url, interrupt))
    with pytest.raises(RecordError, match="holds no complete run"):
        fetch_run(f"{url}/{RUN_ID}")
    assert upload_run(run, url).sent_files == 1


def test_a_manifest_that_cannot_be_read_is_replaced_only_when_told_to(run: Path, url: str) -> None:
    Store(url).below(RUN_ID).send_whole(b"{", "artifact.json")
    with pytest.raises(RecordError, match=r"artifact\.json is not JSON .*; the run must be uploaded again, with --overwrite"):
        upload_run(run, url)
    upload_run(run, url, overwrite=True)
    assert upload_run(run, url).sent_files == 0


def test_a_file_that_changes_while_it_is_uploaded_is_named(run: Path, url: str) -> None:
    path = run / "case-1" / "summary.json"

    def change(sent: str) -> None:
        if sent == "case-1/summary.json":
            path.write_text("something else")

    with pytest.raises(RecordError, match="changed while it was uploaded; upload again when nothing writes into the run"):
        upload_run(run, url, store=watched(url, change))
    assert "artifact.json" not in listing(url)


def test_a_store_that_changes_what_it_is_sent_is_found_out(run: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "holds", lambda *_arguments: False)
    with pytest.raises(RecordError, match=r"did not arrive as it was sent, 2 times over; try again later"):
        upload_run(run, url)
    assert "artifact.json" not in listing(url)


def test_progress_counts_the_bytes_of_each_file_up_to_all_of_them(run: Path, url: str, tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    total = manifest_of(run).size_bytes
    upload_run(run, url, progress=lambda *each: seen.append(each))
    assert sorted(path for _, _, path in seen) == [each.path for each in manifest_of(run).files]
    assert seen == sorted(seen)
    assert (seen[-1][0], {each[1] for each in seen}) == (total, {total})
    seen.clear()
    fetch_run(url, tmp_path / "back", progress=lambda *each: seen.append(each))
    assert (len(seen), seen[-1][:2]) == (7, (total, total))


# --- fetching ---------------------------------------------------------------------------------------------------------------


def test_the_only_run_below_a_url_is_fetched_and_of_several_one_must_be_named(run: Path, url: str, tmp_path: Path) -> None:
    upload_run(run, url)
    assert fetch_run(url, tmp_path / "one").run_id == RUN_ID
    upload_run(run_in(tmp_path / "second", run_id="20261123-000000-aaaa"), url)
    with pytest.raises(ConfigError) as caught:
        fetch_run(url, tmp_path / "two")
    assert str(caught.value) == f"{url} holds 2 runs; say which: {url}/RUN_ID (20261123-000000-aaaa, {RUN_ID})"


def test_a_url_without_a_run_says_so(url: str, tmp_path: Path) -> None:
    with pytest.raises(RecordError) as caught:
        fetch_run(url, tmp_path / "back")
    assert str(caught.value) == (
        f"{url} holds no complete run: there is no artifact.json, which is uploaded last;"
        " finish the upload with inferbench upload"
    )


def test_a_run_that_was_fetched_is_nothing_to_do_and_anything_else_is_not_overwritten(
    run: Path, url: str, tmp_path: Path
) -> None:
    upload_run(run, url)
    (tmp_path / "back").mkdir()
    assert fetch_run(url, tmp_path / "back").fetched_files == 7
    assert fetch_run(url, tmp_path / "back").words == (
        f"run {RUN_ID} is in {tmp_path / 'back'} already, with the same 7 files: nothing to do"
    )
    (tmp_path / "back" / "run.json").chmod(0o644)
    (tmp_path / "back" / "run.json").write_text("mine")
    with pytest.raises(
        RecordError, match="is there, and is not the run as it was uploaded; nothing is overwritten: give another DIR"
    ):
        fetch_run(url, tmp_path / "back")
    assert (tmp_path / "back" / "run.json").read_text() == "mine"


@pytest.mark.parametrize("content", [b"\xff" * 5000, b"short", b"\x01" * 6000])
def test_a_damaged_file_is_named_and_no_run_appears(run: Path, url: str, tmp_path: Path, content: bytes) -> None:
    upload_run(run, url)
    (tmp_path / "bad").write_bytes(content)
    Store(f"{url}/{RUN_ID}").send(tmp_path / "bad", "case-1/requests.parquet")
    with pytest.raises(RecordError, match=r"case-1/requests\.parquet is (damaged where it lies|longer than the 5000 bytes)"):
        fetch_run(url, tmp_path / "back")
    assert not (tmp_path / "back").exists()
    # Where the run still is, uploading it again mends it.
    assert upload_run(run, url).sent_files == 1
    assert fetch_run(url, tmp_path / "back").fetched_files == 5


def test_a_fetch_that_broke_off_is_gone_on_with(run: Path, url: str, tmp_path: Path) -> None:
    upload_run(run, url)

    def interrupt(done_bytes: int, _total_bytes: int, _path: str) -> None:
        if done_bytes > 5000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_run(url, tmp_path / "back", progress=interrupt)
    assert not (tmp_path / "back").exists()
    (tmp_path / ".back.fetching" / "stray").write_text("of another state")
    assert fetch_run(url, tmp_path / "back").fetched_files in range(1, 7)
    assert manifest_of(tmp_path / "back") == manifest_of(run)


def replaced(url: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest that lies there, as somebody else could."""
    store = Store(f"{url}/{RUN_ID}")
    value = json.loads(store.read("artifact.json", bytes_max=10**6))
    change(value)
    store.send_whole(json.dumps(value).encode(), "artifact.json")


@pytest.mark.parametrize("path", ["../escaped", "/tmp/escaped", "case-0/../../escaped", "..\\escaped"])
def test_a_hostile_manifest_writes_nothing_anywhere(run: Path, url: str, tmp_path: Path, path: str) -> None:
    upload_run(run, url)
    replaced(url, lambda value: value["files"][0].update(path=path))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RecordError, match="which is refused: "):
        fetch_run(url, tmp_path / "back")
    assert sorted(tmp_path.rglob("*")) == before


def test_links_where_files_would_go_are_not_followed(run: Path, url: str, tmp_path: Path) -> None:
    upload_run(run, url)
    (tmp_path / "elsewhere").mkdir()
    partial = tmp_path / ".back.fetching"
    partial.mkdir()
    (partial / "case-0").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RecordError, match=r"case-0 is a link, through which a fetched file could land anywhere; remove"):
        fetch_run(url, tmp_path / "back")
    (partial / "case-0").unlink()
    partial.rmdir()
    partial.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RecordError, match="is a link, through which"):
        fetch_run(url, tmp_path / "back")
    (tmp_path / "back").symlink_to(tmp_path / "nowhere")
    with pytest.raises(RecordError, match="is there, and is not the run as it was uploaded"):
        fetch_run(url, tmp_path / "back")
    assert not any((tmp_path / "elsewhere").iterdir())


def test_files_of_another_run_than_the_manifest_says_are_refused(run: Path, url: str, tmp_path: Path) -> None:
    upload_run(run, url)
    replaced(url, lambda value: value.update(run_id="another-run"))
    with pytest.raises(RecordError, match=f"says it is run another-run, and its files are of run {RUN_ID}"):
        fetch_run(url, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_run_that_is_too_large_is_refused_before_anything_is_fetched(
    run: Path, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_run(run, url)
    with pytest.raises(
        RecordError, match=r"says it is 15,\d+ bytes, more than the 10,000 bytes that are fetched; allow more with"
    ):
        fetch_run(url, tmp_path / "back", bytes_max=10_000)
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(RecordError, match=r"has 15,\d+ bytes, and .* has 100 bytes free; free some space, or give another DIR"):
        fetch_run(url, tmp_path / "back")
    assert not (tmp_path / "back").exists()
    assert FETCH_BYTES_MAX == 100_000_000_000


def test_sizes_are_for_people() -> None:
    assert (size(1_234_567_890), size(99_999)) == ("1,234.6 MB", "99,999 bytes")
