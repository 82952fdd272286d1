"""
Configurations of other systems as pytest items: those named on the command line, and those of ``--inferbench-config``.

Rule: a file is looked into only where a person named it; nothing else that lies in a folder of tests is taken for a benchmark.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_inferbench.cases.case import Case
from pytest_inferbench.collection import CaseItem, SuiteFile, as_asked, or_collect_error, shown
from pytest_inferbench.devices import inventory
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.options import overrides_asked
from pytest_inferbench.session import SESSION


class ForeignFile(SuiteFile):
    """A file of another system that describes benchmarks."""

    def collect(self) -> Iterator[CaseItem]:
        """
        Every case that it describes.

        Raises:
            pytest.Collector.CollectError: something in the file is wrong.
        """
        first: CaseItem | None = None
        for case in or_collect_error(self._cases):
            item = CaseItem.of(case, parent=self, like=first)
            first = first or item
            yield item

    def _cases(self) -> tuple[Case, ...]:
        from pytest_inferbench.cases.formats.registry import read_foreign, suite_of  # noqa: PLC0415 - only who has such a file needs it

        path, gpus = shown(self.path), _gpus_of_one_kind()
        lenient, overrides = self.config.getoption("inferbench_lenient"), overrides_asked(self.config)
        found = read_foreign(path, lenient=lenient, overrides=overrides, gpus=gpus)
        cases = as_asked(self.config, tuple(case for each in found for case in suite_of(each).cases()))
        notices = self.config.stash[SESSION].gathering.notices
        notices += dict.fromkeys(f"{path}: {note}" for each in found for note in each.notes)
        notices += [f"{path}: {text}" for text in _simulated_apart(cases)]
        for case_id, count in Counter(case.id for case in cases).items():
            if count > 1:
                raise ConfigError(f"{count} of its cases have the id {case_id!r}", file=shown(self.path))
        return cases


def _gpus_of_one_kind() -> int:
    """What a file means that asks for all GPUs; a simulated session has some of every kind."""
    return max(Counter(gpu.name for gpu in inventory.detected().gpus).values(), default=0)


def _simulated_apart(cases: tuple[Case, ...]) -> list[str]:
    """What the simulation of cases leaves out that need a cluster."""
    count = sum(case.simulated and case.cluster is not None for case in cases)
    return [f"{count} cases need a cluster, of which one server is simulated, without gateway and replicas"] if count else []


def foreign_file(path: Path, parent: pytest.Collector) -> ForeignFile | None:
    """The collector of another system's file; None where nobody named it, or no format recognises it."""
    if not _is_named(path, parent.config):
        return None
    from pytest_inferbench.cases.formats.registry import ENDINGS, format_of  # noqa: PLC0415 - as above

    if path.suffix.lower() not in ENDINGS or format_of(path) is None:
        return None
    return ForeignFile.from_parent(parent, path=path)


def _is_named(path: Path, config: pytest.Config) -> bool:
    """Whether it was named itself; pytest's own answer is no where its folder was named as well."""
    named = (Path(config.invocation_params.dir, argument.partition("::")[0]) for argument in config.args)
    return any(each.name == path.name and each.resolve() == path.resolve() for each in named)


def add_configs(config: pytest.Config) -> None:
    """
    Take the files of ``--inferbench-config`` among what is to be collected; alone, where nothing else was named.

    Raises:
        pytest.UsageError: there is no such file, or no format recognises it.
    """
    named = config.getoption("inferbench_config")
    # A worker of xdist is told everything by whoever started it.
    if not named or hasattr(config, "workerinput"):
        return
    from pytest_inferbench.cases.formats.registry import format_of, formats  # noqa: PLC0415 - as above

    paths = [Path(config.invocation_params.dir, Path(text).expanduser()) for text in named]
    for path in paths:
        if not path.is_file():
            raise pytest.UsageError(f"--inferbench-config: there is no file {path}")
        if format_of(path) is None:
            known = ", ".join(one.title for one in formats())
            raise pytest.UsageError(f"--inferbench-config: {path} is none of the formats that can be read: {known}")
    others = config.args if config.args_source is pytest.Config.ArgsSource.ARGS else []
    config.args = [*others, *map(str, paths)]
