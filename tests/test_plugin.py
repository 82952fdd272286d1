from __future__ import annotations

import pytest

from pytest_inferbench import hookspecs
from pytest_inferbench.session import SESSION, BenchSession
from tests.sessions import INI, suite

pytest_plugins = ["pytester"]


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini(INI)
    return pytester


def test_the_markers_are_known_and_described(project: pytest.Pytester) -> None:
    result = project.runpytest("--markers")
    result.stdout.fnmatch_lines(
        [
            "@pytest.mark.inferbench([*][*]suite): make the test a benchmark, one item a case of the matrix.",
            "@pytest.mark.case([*][*]axes): set on every case, for exact selection: -m 'case(tp=2, hardware=\"h100\")'.",
        ]
    )


def test_the_fixtures_say_what_they_are(project: pytest.Pytester) -> None:
    text = project.runpytest("--fixtures", "-p", "no:xdist").stdout.str()
    assert "    The benchmark case of this test." in text
    assert "    Measures a case: starts its server, drives its load, judges it, keeps its record." in text
    assert (
        "    The endpoint of the running server that this test's case needs; the server is shared by all cases of its kind."
        in text
    )


def test_a_session_knows_the_plugins_state(project: pytest.Pytester) -> None:
    config = project.parseconfigure()
    assert isinstance(config.stash[SESSION], BenchSession)
    assert config.pluginmanager.get_plugin("inferbench-session") is config.stash[SESSION]


def test_other_packages_find_the_hook_that_they_may_implement(project: pytest.Pytester) -> None:
    hooks = [name for name in vars(hookspecs) if name.startswith("pytest_inferbench_")]
    manager = project.parseconfigure().pluginmanager
    assert hooks
    assert all(hasattr(manager.hook, name) for name in hooks)


def test_a_case_is_a_fixture_of_its_test(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.mark.inferbench(hardware="cpu", engine="openai", model="m", traffic="D(8,4)", concurrency=[1, 2])
        def test_case(case, request):
            assert case.id in request.node.nodeid
        """
    )
    project.runpytest("-p", "no:xdist").assert_outcomes(passed=2)


def test_cases_of_one_server_run_together_and_the_rest_keeps_its_place(project: pytest.Pytester) -> None:
    engines = "[{name: command, args: {command: 'a {port}'}, label: a}, {name: command, args: {command: 'b {port}'}, label: b}]"
    (project.path / "one.bench.yaml").write_text(suite("one", engine=engines, concurrency="[1]"), encoding="utf-8")
    (project.path / "two.bench.yaml").write_text(suite("two", engine=engines, concurrency="[1]"), encoding="utf-8")
    project.makepyfile(test_between="def test_between(): pass\n")
    lines = [line for line in project.runpytest("--collect-only", "-q", "-p", "no:xdist").outlines if "::" in line]
    assert lines == [
        "one.bench.yaml::cpu-a-loopback-tp1-d8x4-c1",
        "two.bench.yaml::cpu-a-loopback-tp1-d8x4-c1",
        "one.bench.yaml::cpu-b-loopback-tp1-d8x4-c1",
        "two.bench.yaml::cpu-b-loopback-tp1-d8x4-c1",
        "test_between.py::test_between",
    ]
