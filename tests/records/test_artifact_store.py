"""What is said to a store and heard from it: words, waits, and what counts as sent."""

from __future__ import annotations

import base64
import errno
import hashlib
import importlib
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.errors import ConfigError, RecordError
from pytest_inferbench.records import artifact_store
from pytest_inferbench.records.artifact_manifest import Entry
from pytest_inferbench.records.artifact_store import RETRIES_S, Found, NotThere, Store

CONTENT = b"a few bytes"
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
ENTRY = Entry(path="run/a", size_bytes=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())


class NoCredentialsError(Exception):
    """As botocore calls it."""


class Flaky:
    """A file system that fails some times before it answers; only what a store asks of it."""

    protocol = ("flaky",)

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.asked = 0

    def find(self, _root: str, **_options: Any) -> dict[str, Any]:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return {"root/run/a": {"size": 3}}


def flaky(monkeypatch: pytest.MonkeyPatch, *errors: Exception) -> tuple[Store, Flaky, list[float]]:
    """A store on such a file system, and the waits between its attempts in seconds."""
    files, waits_s = Flaky(*errors), list[float]()
    monkeypatch.setattr(artifact_store, "_opened", lambda _url: (files, "root"))
    return Store("s3://bucket/x", sleep=waits_s.append), files, waits_s


def store_in(folder: Path) -> Store:
    return Store(folder.as_uri(), sleep=lambda _s: None)


def test_what_passes_is_tried_again_with_longer_and_longer_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    store, files, waits_s = flaky(monkeypatch, ConnectionError("reset"), TimeoutError("slow"))
    assert store.listing() == {"run/a": Found(size_bytes=3, md5=None)}
    assert (files.asked, waits_s) == (3, list(RETRIES_S[:2]))


def test_attempts_end_and_their_number_and_the_last_words_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    store, files, waits_s = flaky(monkeypatch, *[ConnectionError("connection\nreset by peer")] * 9)
    with pytest.raises(RecordError) as caught:
        store.listing()
    assert str(caught.value) == (
        "s3://bucket/x did not answer as it should, 4 times over: ConnectionError: connection reset by peer;"
        " is the network up, and is this the right address? What went over is kept, and the same again goes on with it"
    )
    assert (files.asked, waits_s) == (4, list(RETRIES_S))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            PermissionError("Access Denied"),
            "refused: Access Denied; check the credentials in the environment, and what",
        ),
        (NoCredentialsError("Unable to locate credentials"), "refused: Unable to locate credentials; check the credentials"),
        (FileNotFoundError("no bucket x"), "or something below it is not there: no bucket x; is the bucket or the folder made?"),
        (OSError(errno.ENOSPC, "No space left on device"), "s3://bucket/x: [Errno 28] No space left on device"),
        (ValueError("Invalid bucket name"), "s3://bucket/x: Invalid bucket name"),
    ],
)
def test_what_would_come_to_the_same_is_not_tried_again(monkeypatch: pytest.MonkeyPatch, error: Exception, words: str) -> None:
    store, files, _ = flaky(monkeypatch, error)
    with pytest.raises(RecordError) as caught:
        store.listing()
    assert words in str(caught.value)
    assert files.asked == 1
    assert isinstance(caught.value, NotThere) == isinstance(error, FileNotFoundError)


def test_secrets_in_a_librarys_words_are_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    store, _, _ = flaky(monkeypatch, PermissionError("bad aws_secret_access_key=abcdefgh12345 for AKIAABCDEFGHIJKLMNOP"))
    with pytest.raises(RecordError) as caught:
        store.listing()
    assert "abcdefgh12345" not in str(caught.value)
    assert "AKIAABCDEFGHIJKLMNOP" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["s3://key:verySecret1@bucket/x", "https://host/x?sig=verySecret1", "s3://b/AKIAABCDEFGHIJKLMNOP"]
)
def test_credentials_in_a_url_are_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match=r"REDACTED.* holds credentials, which would be seen by everybody") as caught:
        Store(url)
    assert "verySecret1" not in str(caught.value)
    assert "AKIA" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "extra"), [("s3://bucket/x", "s3"), ("gs://bucket/x", "gcs"), ("az://c/x", "azure"), ("abfs://c/x", "azure")]
)
def test_a_library_that_is_missing_is_named_with_the_extra_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, url: str, extra: str
) -> None:
    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise ImportError("Install it")

    monkeypatch.setattr(importlib.import_module("fsspec.core"), "url_to_fs", refuse)
    with pytest.raises(ConfigError) as caught:
        Store(url)
    assert str(caught.value) == f"{url} needs a library that is not installed: pip install 'pytest-inferbench[{extra}]'"


def test_an_address_that_is_none_is_said_with_those_that_work() -> None:
    with pytest.raises(
        ConfigError, match=r"nope://x is no address that files can be sent to .*; use s3://, gs://, az://, file://"
    ):
        Store("nope://x")


def test_a_path_without_a_protocol_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(CONTENT)
    Store(str(tmp_path / "there")).send(tmp_path / "a", "run/a")
    assert (tmp_path / "there" / "run" / "a").read_bytes() == CONTENT


def test_what_is_sent_is_listed_and_fetched_with_its_size_and_hash(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(CONTENT)
    store = store_in(tmp_path / "there")
    assert store.listing() == {}
    store.send(tmp_path / "a", "run/a")
    assert store.listing() == {"run/a": Found(size_bytes=len(CONTENT), md5=None)}
    assert store.fetch("run/a", tmp_path / "back", bytes_max=100) == (len(CONTENT), ENTRY.sha256)
    assert (tmp_path / "back").read_bytes() == CONTENT


def test_a_file_that_is_longer_than_it_may_be_is_not_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(CONTENT)
    store = store_in(tmp_path)
    with pytest.raises(RecordError, match="/a is longer than the 5 bytes that belong there"):
        store.fetch("a", tmp_path / "back", bytes_max=5)
    with pytest.raises(RecordError, match="/a is longer than the 5 bytes that belong there"):
        store.read("a", bytes_max=5)


def test_a_small_file_of_a_folder_gets_its_name_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_in(tmp_path)
    files = importlib.import_module("fsspec.implementations.local").LocalFileSystem

    def stop(*_arguments: Any, **_options: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(files, "mv", stop)
        with pytest.raises(KeyboardInterrupt):
            store.send_whole(b"{}", "artifact.json")
    assert not (tmp_path / "artifact.json").exists()
    store.send_whole(b"{}", "artifact.json")
    assert (tmp_path / "artifact.json").read_bytes() == b"{}"
    assert store.listing().keys() == {"artifact.json"}


@pytest.mark.parametrize(
    "info",
    [
        {"ETag": f'"{MD5}"'},
        {"md5Hash": base64.b64encode(bytes.fromhex(MD5)).decode()},
        {"content_settings": {"content_md5": bytearray.fromhex(MD5)}},
    ],
)
def test_each_stores_own_md5_proves_a_file_without_reading_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, info: dict[str, Any]
) -> None:
    (tmp_path / "a").write_bytes(CONTENT)
    store, files, _ = flaky(monkeypatch)
    monkeypatch.setattr(files, "find", lambda _root, **_options: {"root/run/a": {"size": len(CONTENT), **info}})
    found = store.listing()["run/a"]
    assert found == Found(size_bytes=len(CONTENT), md5=MD5)
    assert store.holds(ENTRY, found, tmp_path / "a")


@pytest.mark.parametrize(
    "info",
    [
        {"ETag": '"d41d8cd98f00b204e9800998ecf8427e-3"'},
        {"ETag": '"short"'},
        {"ETag": None},
        {"md5Hash": "no base64"},
        {"md5Hash": "AAAA"},
        {"content_settings": {"content_md5": None}},
        {"content_settings": None},
    ],
)
def test_a_tag_that_is_no_md5_is_none(monkeypatch: pytest.MonkeyPatch, info: dict[str, Any]) -> None:
    store, files, _ = flaky(monkeypatch)
    monkeypatch.setattr(files, "find", lambda _root, **_options: {"root/run/a": {"size": 1, **info}})
    assert store.listing()["run/a"].md5 is None


@pytest.mark.parametrize(("content", "holds"), [(CONTENT, True), (b"a few bytez", False), (b"few", False)])
@pytest.mark.parametrize("md5", [None, "0" * 32])
def test_without_an_md5_that_agrees_the_content_is_read_back(
    tmp_path: Path, content: bytes, holds: bool, md5: str | None
) -> None:
    (tmp_path / "local").write_bytes(CONTENT)
    (tmp_path / "there" / "run").mkdir(parents=True)
    (tmp_path / "there" / "run" / "a").write_bytes(content)
    found = Found(size_bytes=len(content), md5=md5)
    assert store_in(tmp_path / "there").holds(ENTRY, found, tmp_path / "local") == holds


def test_names_of_folders_with_a_file_are_sorted(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        (tmp_path / name).mkdir()
    for name in ("b", "a"):
        (tmp_path / name / "artifact.json").touch()
    assert store_in(tmp_path).names_with("artifact.json") == ["a", "b"]
    store_in(tmp_path).remove("b/artifact.json")
    assert store_in(tmp_path).names_with("artifact.json") == ["a"]
