from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pytest_inferbench.errors import RecordError
from pytest_inferbench.reporting.site.write import MANIFEST, check_folder, write_site

OLD = {"data/index-1.js": b"1", "assets/site-1.js": b"s"}
NEW = {"data/index-2.js": b"2", "assets/site-1.js": b"s"}
NEWEST = {"data/index-3.js": b"3", "assets/site-1.js": b"s"}


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_is_made_and_known_again(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "site"
    for _ in range(2):
        write_site(folder, files=OLD, pages={"index.html": b"page"})
    assert names(folder) == {*OLD, "index.html", MANIFEST}
    assert (folder / "index.html").read_bytes() == b"page"


def test_the_files_of_the_site_before_stay_for_who_has_it_open_and_go_with_the_next(tmp_path: Path) -> None:
    for files in (OLD, NEW):
        write_site(tmp_path, files=files, pages={"index.html": b"page"})
    assert "data/index-1.js" in names(tmp_path)
    write_site(tmp_path, files=NEWEST, pages={"index.html": b"page"})
    assert names(tmp_path) == {*NEW, *NEWEST, "index.html", MANIFEST}


def test_the_same_site_written_again_leaves_only_itself(tmp_path: Path) -> None:
    for files in (OLD, NEW, NEW):
        write_site(tmp_path, files=files, pages={"index.html": b"page"})
    assert names(tmp_path) == {*NEW, "index.html", MANIFEST}


def test_a_page_is_there_whole_when_its_data_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order in which files take their names: what is named comes before what names it."""
    taken: list[str] = []
    replace = Path.replace

    def noting(self: Path, target: Path) -> Path:
        taken.append(target.name)
        assert self.name.endswith(".part")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", noting)
    write_site(tmp_path, files=OLD, pages={"index.html": b"page"})
    assert taken == [MANIFEST, "index-1.js", "site-1.js", "index.html", MANIFEST]


def test_one_that_was_cut_short_is_known_and_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_site(tmp_path, files=OLD, pages={"index.html": b"old"})
    with monkeypatch.context() as context:
        context.setattr(Path, "write_bytes", _full_disk)
        with pytest.raises(RecordError, match=r"could not be written to .*: No space left on device; name another folder"):
            write_site(tmp_path, files=NEW, pages={"index.html": b"new"})
    assert (tmp_path / "index.html").read_bytes() == b"old"
    assert not list(tmp_path.rglob("*.part"))
    write_site(tmp_path, files=NEW, pages={"index.html": b"new"})
    assert (tmp_path / "index.html").read_bytes() == b"new"


def _full_disk(_path: Path, _content: bytes) -> int:
    raise OSError(28, os.strerror(28))


@pytest.mark.parametrize("manifest", [None, "{}", "not JSON", '{"written_by": "somebody else", "files": [], "previous": []}'])
def test_a_folder_with_other_files_is_left_as_it_is(tmp_path: Path, manifest: str | None) -> None:
    for name in ("a", "b", "c", "d"):
        (tmp_path / name).write_text("mine", encoding="utf-8")
    if manifest is not None:
        (tmp_path / MANIFEST).write_text(manifest, encoding="utf-8")
    with pytest.raises(RecordError, match=r"did not write \('a', 'b', 'c' and [12] more\) and is left as it is; name a folder"):
        write_site(tmp_path, files=NEW, pages={})
    assert "data/index-2.js" not in names(tmp_path)


def test_files_that_others_put_beside_it_are_not_touched(tmp_path: Path) -> None:
    write_site(tmp_path, files=OLD, pages={"index.html": b"page"})
    (tmp_path / "CNAME").write_text("bench.example.org", encoding="utf-8")
    for files in (NEW, NEWEST):
        write_site(tmp_path, files=files, pages={"index.html": b"page"})
    assert (tmp_path / "CNAME").read_text(encoding="utf-8") == "bench.example.org"


def test_a_list_that_was_tampered_with_removes_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    write_site(folder, files=OLD, pages={"index.html": b"page"})
    precious = tmp_path / "precious.js"
    precious.write_text("mine", encoding="utf-8")
    (folder / "data" / "Notes.txt").write_text("mine", encoding="utf-8")
    content = {
        "written_by": "inferbench site",
        "files": [],
        "previous": ["../precious.js", "data/../../precious.js", "data/Notes.txt"],
    }
    (folder / MANIFEST).write_text(json.dumps(content), encoding="utf-8")
    write_site(folder, files=NEW, pages={"index.html": b"page"})
    assert precious.exists()
    assert (folder / "data" / "Notes.txt").exists()


def test_a_file_in_the_way_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "site").write_text("a file", encoding="utf-8")
    with pytest.raises(RecordError, match=r"the site could not be written to .*site: Not a directory; name another folder"):
        check_folder(tmp_path / "site")
