"""
Cases as pytest items: from suite files, and from functions with the ``inferbench`` marker.

Rule: collection starts nothing, measures nothing and imports nothing heavy; a mistake of a person becomes a collection error with
file, line and field, and no traceback.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from _pytest._code.code import ReprEntryNative, ReprExceptionInfo, ReprFileLocation, ReprTraceback, TerminalRepr

from pytest_inferbench.cases.case import Case, Origin
from pytest_inferbench.cases.loads import when_sure
from pytest_inferbench.cases.suite import SUFFIXES, read_suite, suite_from_mapping
from pytest_inferbench.errors import ConfigError, InferbenchError
from pytest_inferbench.measure import Measure
from pytest_inferbench.options import confidence_asked, repeats_asked, simulation_asked
from pytest_inferbench.repeats import repeated
from pytest_inferbench.simulation import simulated

MARKER = "inferbench"


def meet_slo(case: Case, measure: Measure) -> None:
    """The test that every case of a suite file is: act, judge, assert."""
    result = measure(case)
    # Raised rather than asserted, so that its text is the explanation alone however pytest rewrites assertions.
    if not result.meets_slo:
        raise AssertionError(result.explain())


class CaseItem(pytest.Function):
    """One case of a suite file; its name is the case's id."""

    case: Case

    @classmethod
    def of(cls, case: Case, *, parent: SuiteFile, like: CaseItem | None) -> CaseItem:
        """The item of ``case``; it shares with ``like``, of the same file, what pytest finds out about fixtures."""
        # Found out once, not ten thousand times: this is most of the cost of an item.
        shared = {} if like is None else {"fixtureinfo": like._fixtureinfo}  # noqa: SLF001 - pytest has no public name for it
        item = cls.from_parent(parent, name=case.id, callobj=meet_slo, **shared)
        item.case = case
        for mark in _expectation(case):
            item.add_marker(mark)
        return item

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """The suite file, and the line (from 0) of the matrix or entry that the case comes from."""
        return self.path, self._line - 1, self.name

    def repr_failure(
        self,
        excinfo: pytest.ExceptionInfo[BaseException],
        style: object = None,  # noqa: ARG002 - the signature is the base class's; a function's own ignores it too
    ) -> str | TerminalRepr:
        """A missed objective or an error of ours in its own words; the code in between is none of the user's."""
        missed = isinstance(excinfo.value, AssertionError) and Path(excinfo.traceback[-1].path) == Path(__file__)
        if missed or isinstance(excinfo.value, InferbenchError):
            return plain_failure(str(excinfo.value), str(self.path), self._line)
        return super().repr_failure(excinfo)

    @property
    def _line(self) -> int:
        # An entry inherited from a base stands in another file, whose lines mean nothing here.
        origin = self.case.origin
        here = origin is not None and Path(origin.file).name == self.path.name
        return (origin.line or 1) if origin and here else 1


class SuiteFile(pytest.Module):
    """
    A ``*.bench.yaml`` (or ``.yml``, ``.toml``, ``.json``) file.

    A module to pytest, so that fixtures of module scope work: they live as long as the file's cases.
    """

    def _getobj(self) -> ModuleType:
        module = ModuleType(self.path.name.replace(".", "_"))
        module.__file__ = str(self.path)
        return module

    def collect(self) -> Iterator[CaseItem]:
        """
        Every case of the suite.

        Raises:
            pytest.Collector.CollectError: something in the file is wrong.
        """
        first: CaseItem | None = None
        for case in or_collect_error(lambda: as_asked(self.config, read_suite(shown(self.path)).cases())):
            item = CaseItem.of(case, parent=self, like=first)
            first = first or item
            yield item


def suite_file(path: Path, parent: pytest.Collector) -> SuiteFile | None:
    """The collector of a suite file; None where the file's name is not that of one."""
    return SuiteFile.from_parent(parent, path=path) if path.name.endswith(SUFFIXES) else None


def parametrize_cases(metafunc: pytest.Metafunc) -> None:
    """
    Give a function with the ``inferbench`` marker one item a case; several markers add up.

    Raises:
        pytest.Collector.CollectError: something in a marker is wrong, or the function takes no ``case``.
    """
    markers = list(metafunc.definition.iter_markers(MARKER))
    if not markers:
        return
    origin = _origin(metafunc)
    cases = or_collect_error(lambda: as_asked(metafunc.config, _marked_cases(metafunc, markers[::-1], origin)))
    # A mark of its own only where there is one: ten thousand pytest.param cost as much as the rest.
    params = [pytest.param(case, marks=_expectation(case)) if case.expected_miss else case for case in cases]
    metafunc.parametrize("case", params, ids=[case.id for case in cases])


def mark_cases(items: Iterable[pytest.Item]) -> None:
    """Give every case the mark that ``-m "case(tp=2)"`` selects by."""
    selector = pytest.mark.case
    for item in items:
        case = case_of(item)
        if case is not None:
            item.add_marker(selector.with_args(**case.axes))


def case_of(item: pytest.Item) -> Case | None:
    """The case that an item measures; None for any other test."""
    if isinstance(item, CaseItem):
        return item.case
    callspec = getattr(item, "callspec", None)
    case = callspec.params.get("case") if callspec is not None else None
    return case if isinstance(case, Case) else None


def required_case(item: pytest.Item) -> Case:
    """The case that an item measures; fails the test, without a traceback, where there is none."""
    case = case_of(item)
    if case is None:
        pytest.fail(
            "'case' is for tests with @pytest.mark.inferbench(...) and for suite files; this test has neither", pytrace=False
        )
    return case


def plain_failure(text: str, path: str, line: int) -> ReprExceptionInfo:
    """A failure shown as ``text`` and nothing else, in a form that the summary line, JUnit, HTML and xdist all understand."""
    entries: Sequence[ReprEntryNative] = [ReprEntryNative([text.rstrip() + "\n"])]
    return ReprExceptionInfo(
        reprtraceback=ReprTraceback(entries, extraline=None, style="native"),
        reprcrash=ReprFileLocation(path, line, text),
    )


def _expectation(case: Case) -> list[pytest.MarkDecorator]:
    # Only a missed objective is expected: a server that breaks, or a case that meets its objectives, is news.
    if case.expected_miss is None:
        return []
    return [pytest.mark.xfail(reason=case.expected_miss, raises=AssertionError, strict=True)]


def as_asked(config: pytest.Config, cases: tuple[Case, ...]) -> tuple[Case, ...]:
    """The cases as the command line would have them."""
    asked, confidence = simulation_asked(config), confidence_asked(config)
    if config.getoption("inferbench_stop") is not None:
        cases = tuple(when_sure(case) for case in cases)
    if confidence is not None:
        cases = tuple(replace(case, confidence=confidence) for case in cases)
    cases = cases if asked is None else simulated(cases, asked)
    times, restart = repeats_asked(config)
    return repeated(cases, times, restart=restart)


def _marked_cases(metafunc: pytest.Metafunc, markers: Iterable[pytest.Mark], origin: Origin) -> tuple[Case, ...]:
    function = metafunc.definition.name
    if "case" not in metafunc.fixturenames:
        problem = f"{function} has the {MARKER} marker but takes no argument 'case', so it would measure nothing"
        raise ConfigError(problem, file=origin.file, line=origin.line)
    cases: list[Case] = []
    for marker in markers:
        if marker.args:
            problem = f"takes keyword arguments only, such as model='smollm2-135m', not {marker.args[0]!r}"
            raise ConfigError(problem, file=origin.file, line=origin.line, field=MARKER)
        cases += suite_from_mapping(marker.kwargs, _suite_name(metafunc), origin).cases()
    case_id, count = Counter(case.id for case in cases).most_common(1)[0]
    if count > 1:
        problem = f"two {MARKER} markers of {function} make the case {case_id!r}; keep one"
        raise ConfigError(problem, file=origin.file, line=origin.line)
    return tuple(cases)


def _suite_name(metafunc: pytest.Metafunc) -> str:
    """``llama.chat`` for ``test_chat`` in ``test_llama.py``: unlike the bare function's name, unique in a folder."""
    names = [metafunc.definition.path.stem, metafunc.cls.__name__ if metafunc.cls else "", metafunc.definition.name]
    return ".".join(name.removeprefix("test_") for name in names if name)


def _origin(metafunc: pytest.Metafunc) -> Origin:
    code = getattr(metafunc.function, "__code__", None)
    return Origin(file=shown(metafunc.definition.path), line=code.co_firstlineno if code else None)


def or_collect_error(make: Callable[[], tuple[Case, ...]]) -> tuple[Case, ...]:
    """
    What ``make`` makes.

    Raises:
        pytest.Collector.CollectError: it finds a mistake in what a person wrote.
    """
    try:
        return make()
    except ConfigError as exc:
        raise pytest.Collector.CollectError(str(exc)) from exc


def shown(path: Path) -> str:
    """The path as a person would type it here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
