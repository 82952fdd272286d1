"""What an uploaded run says of itself, and what is not believed of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.errors import RecordError
from pytest_inferbench.records import artifact_manifest
from pytest_inferbench.records.artifact_manifest import (
    ArtifactManifest,
    Entry,
    files_in,
    manifest_of,
    manifest_text,
    parse_manifest,
    path_trouble,
    run_id_of,
)

RUN_ID = "20261122-074501-3f9c"
DIGEST = "ab" * 32


def run_in(folder: Path) -> Path:
    (folder / "case").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"run_id": RUN_ID}))
    (folder / "case" / "summary.json").write_text("{}")
    return folder


def value_of(*files: dict[str, Any], **more: Any) -> bytes:
    listed = [{"path": "run.json", "size_bytes": 2, "sha256": DIGEST}, *files]
    return json.dumps({"schema_version": 1, "run_id": RUN_ID, "files": listed, **more}).encode()


def file(path: str, **more: Any) -> dict[str, Any]:
    return {"path": path, "size_bytes": 1, "sha256": DIGEST, **more}


def test_every_file_has_its_size_and_hash_in_the_order_of_names(tmp_path: Path) -> None:
    manifest = manifest_of(run_in(tmp_path))
    assert (manifest.run_id, [each.path for each in manifest.files]) == (RUN_ID, ["case/summary.json", "run.json"])
    assert manifest.files[0] == Entry(path="case/summary.json", size_bytes=2, sha256=hashlib.sha256(b"{}").hexdigest())
    assert manifest.size_bytes == 2 + (tmp_path / "run.json").stat().st_size


def test_what_is_being_written_links_and_the_manifest_itself_are_left_out(tmp_path: Path) -> None:
    run_in(tmp_path)
    (tmp_path / "case" / ".summary.json.0a1b2c3d.part").write_text("half")
    (tmp_path / "artifact.json").write_text("{}")
    (tmp_path / "link").symlink_to("/etc/hostname")
    (tmp_path / "linked").symlink_to(tmp_path / "case")
    assert [path.name for path in files_in(tmp_path)] == ["summary.json", "run.json"]


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    manifest = manifest_of(run_in(tmp_path))
    assert parse_manifest(manifest_text(manifest).encode(), "here") == manifest


@given(
    st.lists(
        st.lists(st.text(st.characters(categories=("L", "N")), min_size=1, max_size=9), min_size=1, max_size=4).map("/".join),
        unique=True,
        max_size=9,
    )
)
def test_any_names_of_letters_and_digits_survive(paths: list[str]) -> None:
    folders = {path[:i] for path in paths for i, letter in enumerate(path) if letter == "/"}
    entries = [Entry(path=path, size_bytes=1, sha256=DIGEST) for path in paths if path not in folders]
    run = Entry(path="run.json", size_bytes=2, sha256=DIGEST)
    manifest = ArtifactManifest(run_id=RUN_ID, files=(run, *entries))
    assert parse_manifest(manifest_text(manifest).encode(), "here") == manifest


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "it is not a path below the run's folder"),
        ("/etc/passwd", "it is not a path below the run's folder"),
        ("..", "it leads through '.', '..' or nothing"),
        ("case/../../x", "it leads through '.', '..' or nothing"),
        ("./x", "it leads through '.', '..' or nothing"),
        ("case//x", "it leads through '.', '..' or nothing"),
        ("case/", "it leads through '.', '..' or nothing"),
        ("..\\x", "it holds a backslash, or a character that cannot be shown"),
        ("a\x00b", "it holds a backslash, or a character that cannot be shown"),
        ("a\nb", "it holds a backslash, or a character that cannot be shown"),
        ("a\u202eb", "it holds a backslash, or a character that cannot be shown"),
        ("a\ud800b", "it holds a backslash, or a character that cannot be shown"),
        ("é" * 128, "a part of it is longer than 255 bytes"),
        ("/".join(["abcdefghi"] * 110), "it is longer than 1024 bytes"),
        ("artifact.json", "it has the name of the manifest itself"),
    ],
)
def test_a_path_that_may_leave_the_runs_folder_is_refused(path: str, words: str) -> None:
    with pytest.raises(RecordError) as caught:
        parse_manifest(value_of(file(path)), "s3://b/run/artifact.json")
    assert str(caught.value) == f"s3://b/run/artifact.json names the file {path!r}, which is refused: {words}"


@given(st.text(max_size=40))
def test_a_path_that_is_not_refused_stays_below_its_folder(path: str) -> None:
    if path_trouble(path) is None:
        base = Path("/srv/run")
        assert (base / path).is_relative_to(base)
        assert ".." not in (base / path).parts
        assert (base / path) != base


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "has schema version None, and this version of pytest-inferbench reads 1"),
        (value_of(schema_version=2), "has schema version 2"),
        (value_of(run_id="../x"), "names no run that could be a folder; it is refused"),
        (value_of(run_id=7), "names no run that could be a folder; it is refused"),
        (value_of(files=[]), "lists no files; it is refused"),
        (value_of(files={"a": 1}), "lists no files; it is refused"),
        (value_of(files=[file("x")]), "has no run.json, so it is no run"),
        (value_of(file("x", size_bytes=-1)), "has an entry without a path and a size; it is refused"),
        (value_of(file("x", size_bytes=True)), "has an entry without a path and a size; it is refused"),
        (value_of({"size_bytes": 1, "sha256": DIGEST}), "has an entry without a path and a size; it is refused"),
        (value_of(files=["x"]), "has an entry without a path and a size; it is refused"),
        (value_of(file("x", sha256="ab")), "has no SHA-256 of 'x'; it is refused"),
        (value_of(file("x"), file("x")), "names the file 'x' twice, or as a folder as well; it is refused"),
        (value_of(file("x"), file("x/y")), "names the file 'x' twice, or as a folder as well; it is refused"),
    ],
)
def test_a_manifest_that_is_none_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(RecordError, match=r"^s3://b/run/artifact\.json ") as caught:
        parse_manifest(data, "s3://b/run/artifact.json")
    assert words in str(caught.value)


def test_a_manifest_of_too_many_files_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifact_manifest, "FILES_MAX", 2)
    with pytest.raises(RecordError, match="here has 3 files, more than 2; it is refused"):
        parse_manifest(value_of(file("x"), file("y")), "here")


@pytest.mark.parametrize("text", ["{}", "[]", '{"run_id": 7}', '{"run_id": "../../x"}', '{"run_id": ""}'])
def test_a_folder_that_does_not_say_its_run_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(RecordError, match=r"run\.json does not say which run it is; was it written by pytest-inferbench"):
        run_id_of(tmp_path)


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"run\.json could not be read: No such file"):
        manifest_of(tmp_path)
