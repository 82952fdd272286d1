"""A history becomes a site: series, what changed in them, the files, and the folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_inferbench.reporting.figures import printable
from pytest_inferbench.reporting.site.data import Wording, site_data
from pytest_inferbench.reporting.site.findings import find_changes
from pytest_inferbench.reporting.site.pages import assets, pages
from pytest_inferbench.reporting.site.series import History
from pytest_inferbench.reporting.site.write import write_site


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a site holds."""

    index: Path
    runs: int
    series: int
    changes: int
    size_bytes: int


def build_site(
    folder: Path,
    history: History,
    *,
    releases: Mapping[str, str],
    wording: Wording,
    progress: Callable[[int], object] = lambda _done: None,
) -> Built:
    """
    Write the pages of a history into ``folder``.

    ``releases`` maps commits to the newest tag they contain; ``progress`` is told how many series have been searched for changes.

    Raises:
        RecordError: the folder holds files that this did not write, or it cannot be written.
    """
    findings = find_changes(history, progress)
    data = site_data(history, findings, releases, wording)
    files = {**data.files, **assets()}
    made = pages(title=printable(wording.title), index=data.index)
    write_site(folder, files=files, pages=made)
    return Built(
        index=folder / "index.html",
        runs=len(history.runs),
        series=len(history.series),
        changes=len(findings.changes),
        size_bytes=sum(map(len, [*files.values(), *made.values()])),
    )
