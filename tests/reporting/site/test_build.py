from __future__ import annotations

from pathlib import Path

from pytest_inferbench.reporting.site.build import Built, build_site
from pytest_inferbench.reporting.site.data import Wording
from pytest_inferbench.reporting.site.series import history_of
from tests.reporting.site.made_up import made_up_history


def built(folder: Path, told: list[int]) -> Built:
    return build_site(folder, history_of(made_up_history(12)), releases={}, wording=Wording(title="T"), progress=told.append)


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_says_what_it_made_and_how_far_it_is(tmp_path: Path) -> None:
    told: list[int] = []
    made = built(tmp_path / "site", told)
    assert (made.index, made.runs, made.series) == (tmp_path / "site" / "index.html", 12, 17)
    assert told == list(range(1, 18))
    manifest = (tmp_path / "site" / "inferbench-site.json").stat().st_size
    assert made.size_bytes == sum(map(len, content(tmp_path / "site").values())) - manifest


def test_the_same_history_makes_the_same_files(tmp_path: Path) -> None:
    for name in ("one", "other"):
        built(tmp_path / name, [])
    assert content(tmp_path / "one") == content(tmp_path / "other")
