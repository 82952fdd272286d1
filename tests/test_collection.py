from __future__ import annotations

import sys
from pathlib import Path

import pytest

import pytest_inferbench.experiment  # noqa: F401 - brings NumPy, which a process can import only once, ahead of the inner runs
from pytest_inferbench.collection import CaseItem, case_of

pytest_plugins = ["pytester"]

SUITE = """\
suite: chat
hardware: cpu
engine: llamacpp
matrix:
  model: smollm2-135m
  tensor_parallel: [1, 2, 16]
  traffic: ["D(8,8)", "D(16,8)"]
  concurrency: [1, 64]
"""
BENCH = "pytest.mark.inferbench"
MARKER = 'hardware="cpu", engine="llamacpp", model="smollm2-135m", traffic="D(8,8)"'
# Stands in for the plugin's own `measure`: 64 users are more than this server can take, and 13 kill it.
CONFTEST = """
import pytest
from pytest_inferbench.errors import EngineDied

class Result:
    def __init__(self, case):
        self.meets_slo = case.load.concurrency != 64
    def explain(self):
        return "SLO missed: ttft_p99 = 412.6 ms, limit 350 ms\\n  log engine.log"

def measure_one(case):
    if case.load.concurrency == 13:
        raise EngineDied("llamacpp ended with exit code 1\\n  out of memory")
    return Result(case)

@pytest.fixture
def measure():
    return measure_one
"""
ID = "cpu-llamacpp-smollm2-135m-tp{tp}-d{traffic}-c{users}"
FILE_IDS = [
    ID.format(tp=tp, traffic=traffic, users=users) for tp in (1, 2, 16) for traffic in ("8x8", "16x8") for users in (1, 64)
]


@pytest.fixture(params=["no_xdist", "xdist_zero", "xdist_two"])
def mode(request: pytest.FixtureRequest) -> list[str]:
    return {"no_xdist": ["-p", "no:xdist"], "xdist_zero": ["-n0"], "xdist_two": ["-n2"]}[request.param]


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    # Another plugin's warning about its own defaults is no matter of these tests.
    pytester.makeini("[pytest]\naddopts = -p no:asyncio --strict-markers\nfilterwarnings = error\n")
    pytester.makeconftest(CONFTEST)
    return pytester


def suite(project: pytest.Pytester, text: str = SUITE, name: str = "chat.bench.yaml") -> Path:
    path = project.path / name
    path.write_text(text)
    return path


def collected(project: pytest.Pytester, *arguments: str) -> list[str]:
    lines = project.runpytest("--collect-only", "-q", *arguments).outlines
    return [line for line in lines if "::" in line]


def run_one(project: pytest.Pytester, users: int, extra: str = "") -> pytest.RunResult:
    suite(
        project,
        SUITE.replace("[1, 2, 16]", "1").replace('["D(8,8)", "D(16,8)"]', "D(8,8)").replace("[1, 64]", f"{users}") + extra,
    )
    return project.runpytest("-p", "no:xdist")


def test_a_suite_file_gives_one_item_a_case_named_by_its_id(project: pytest.Pytester) -> None:
    suite(project)
    assert collected(project) == [f"chat.bench.yaml::{one}" for one in FILE_IDS]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.bench.yml", SUITE),
        ("a.bench.toml", 'hardware="cpu"\nengine="x"\nmatrix={model="m", traffic="D(8,8)", rate=inf}\n'),
        ("a.bench.json", '{"hardware":"cpu","engine":"x","matrix":{"model":"m","traffic":"D(8,8)","rate":"inf"}}'),
    ],
)
def test_every_format_is_collected_and_other_files_are_not(project: pytest.Pytester, name: str, text: str) -> None:
    suite(project, text, name)
    suite(project, "this: is no suite", "common.yaml")
    assert {line.split("::")[0] for line in collected(project)} == {name}


def test_a_marked_function_gives_one_item_a_case(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_chat=f"import pytest\n@pytest.mark.inferbench({MARKER}, concurrency=[1, 4])\ndef test_chat(case, measure): pass"
    )
    assert collected(project) == [f"test_chat.py::test_chat[{ID.format(tp=1, traffic='8x8', users=users)}]" for users in (1, 4)]


@pytest.mark.parametrize(
    ("expression", "count"),
    [
        ("tp1-", 4),
        ("tp1", 8),
        ("tp2- and c64", 2),
        ("d16x8", 6),
        ("not cpu", 0),
        ("cpu-llamacpp-smollm2-135m-tp16-d8x8-c64", 1),
    ],
)
def test_k_selects_by_what_stands_in_the_id(project: pytest.Pytester, expression: str, count: int) -> None:
    suite(project)
    assert len(collected(project, "-k", expression)) == count


@pytest.mark.parametrize(
    ("expression", "count"),
    [
        ("case", 14),
        ("case(tp=1)", 6),
        ("case(tp=2, concurrency=64)", 2),
        ('case(traffic="D(16,8)")', 6),
        ('case(hardware="cpu") and not case(tp=16)', 10),
        ('case(hardware="h100")', 0),
        ('case(suite="chat")', 12),
        ('case(suite="extra.more")', 2),
    ],
)
def test_m_selects_by_exact_axes(project: pytest.Pytester, expression: str, count: int) -> None:
    suite(project)
    project.makepyfile(
        test_extra=f"""
        import pytest
        @pytest.mark.inferbench({MARKER}, concurrency=[5, 7])
        def test_more(case, measure): pass
        def test_plain(): pass
        """
    )
    assert len(collected(project, "-m", expression)) == count


def test_both_kinds_run_alike_in_every_mode(project: pytest.Pytester, mode: list[str]) -> None:
    suite(project)
    project.makepyfile(
        test_twin=f"""
        import pytest
        @pytest.mark.inferbench({MARKER}, concurrency=[1, 4, 64])
        def test_chat(case, measure):
            result = measure(case)
            assert result.meets_slo, result.explain()
        """
    )
    project.runpytest(*mode).assert_outcomes(passed=8, failed=7)


def test_a_miss_is_shown_in_its_own_words_and_nothing_else(project: pytest.Pytester) -> None:
    result = run_one(project, 64)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*_ cpu-llamacpp-smollm2-135m-tp1-d8x8-c64 _*", "SLO missed: ttft_p99 = 412.6 ms, limit 350 ms", "  log engine.log"],
        consecutive=True,
    )
    result.stdout.fnmatch_lines(["FAILED chat.bench.yaml::cpu-llamacpp-smollm2-135m-tp1-d8x8-c64 - *"])
    result.stdout.no_fnmatch_line("*collection.py*")
    result.stdout.no_fnmatch_line("*measure(case)*")


def test_a_server_that_dies_is_shown_in_its_own_words(project: pytest.Pytester) -> None:
    result = run_one(project, 13)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["llamacpp ended with exit code 1", "  out of memory"], consecutive=True)
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*conftest.py*")


def test_an_error_of_somebody_elses_keeps_its_traceback(project: pytest.Pytester) -> None:
    project.makeconftest(
        """
        import pytest
        @pytest.fixture
        def measure():
            def measure(case):
                assert case.load.warmup == 7
            return measure
        """
    )
    result = run_one(project, 1)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([">       assert case.load.warmup == 7"])


def test_the_explanation_reaches_junit(project: pytest.Pytester) -> None:
    suite(project, SUITE)
    project.runpytest("--junitxml=junit.xml", "-p", "no:xdist")
    text = (project.path / "junit.xml").read_text()
    assert 'name="cpu-llamacpp-smollm2-135m-tp1-d8x8-c1"' in text
    assert 'message="SLO missed: ttft_p99 = 412.6 ms, limit 350 ms' in text


@pytest.mark.parametrize(
    ("users", "outcome"),
    [
        (64, {"xfailed": 1}),
        # A case that was to miss and doesn't is news, and a server that died is no missed objective.
        (1, {"failed": 1}),
        (13, {"failed": 1}),
    ],
)
def test_an_expected_miss_keeps_the_run_green_and_excuses_nothing_else(
    project: pytest.Pytester, users: int, outcome: dict[str, int]
) -> None:
    result = run_one(project, users, "expected_miss: shows what a miss looks like\n")
    result.assert_outcomes(**outcome)
    assert (result.ret == pytest.ExitCode.OK) == (users == 64)


def test_an_expected_miss_of_a_marked_function(project: pytest.Pytester) -> None:
    project.makepyfile(
        f"""
        import pytest
        @pytest.mark.inferbench({MARKER}, concurrency=[1, 64], include=[dict(concurrency=64, expected_miss="tight")])
        def test_chat(case, measure):
            assert measure(case).meets_slo
        """
    )
    project.runpytest("-rx").assert_outcomes(passed=1, xfailed=1)


def test_fixtures_of_every_scope_work_with_suite_files(project: pytest.Pytester) -> None:
    project.makeconftest(
        CONFTEST
        + """
log = []

@pytest.fixture(autouse=True, scope="session")
def for_session():
    log.append("session")

@pytest.fixture(autouse=True, scope="module")
def for_module(request):
    log.append(f"module {request.path.name} {request.module.__name__}")
    yield
    log.append("module ends")

@pytest.fixture(autouse=True, scope="class")
def for_class():
    log.append("class")

@pytest.fixture(autouse=True)
def for_function(case, request):
    log.append(f"{case.id} {request.node.name}")

def pytest_sessionfinish():
    print("\\nLOG", log)
"""
    )
    result = run_one(project, 1)
    result.assert_outcomes(passed=1)
    one = ID.format(tp=1, traffic="8x8", users=1)
    result.stdout.fnmatch_lines(
        [f"LOG ['session', 'module chat.bench.yaml chat_bench_yaml', 'class', '{one} {one}', 'module ends']"]
    )


def test_last_failed_and_exitfirst_mean_what_they_mean_anywhere(project: pytest.Pytester) -> None:
    suite(project)
    project.runpytest("-p", "no:xdist", "-x").assert_outcomes(passed=1, failed=1)
    project.runpytest("-p", "no:xdist").assert_outcomes(passed=6, failed=6)
    project.runpytest("-p", "no:xdist", "--lf").assert_outcomes(failed=6)


def test_an_item_says_where_its_case_was_written(project: pytest.Pytester) -> None:
    path = suite(project, SUITE + "include:\n  - {concurrency: 9, model: other}\n")
    items, _ = project.inline_genitems(str(path))
    assert all(isinstance(item, CaseItem) for item in items)
    assert {(item.reportinfo()[0], item.reportinfo()[1]) for item in items} == {(path, 3), (path, 9)}
    assert [case.id for item in items if (case := case_of(item))] == [item.name for item in items]


def test_markers_add_up_and_stack_with_parametrize(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_x=f"""
        import pytest

        @pytest.mark.inferbench({MARKER}, concurrency=1)
        class TestAll:
            @pytest.mark.inferbench({MARKER}, concurrency=2)
            @pytest.mark.parametrize("word", ["a", "b"])
            def test_chat(self, case, word): pass
        """
    )
    one, two = (ID.format(tp=1, traffic="8x8", users=users) for users in (1, 2))
    params = {line.removeprefix("test_x.py::TestAll::test_chat[").removesuffix("]") for line in collected(project)}
    assert params == {f"{case}-{word}" for case in (one, two) for word in "ab"}


def test_skip_and_xfail_work_as_on_any_function(project: pytest.Pytester) -> None:
    project.makepyfile(
        f"""
        import pytest
        bench = pytest.mark.inferbench({MARKER}, concurrency=[1, 64])

        @bench
        @pytest.mark.skip(reason="not now")
        def test_skipped(case, measure): pass

        @bench
        @pytest.mark.xfail(reason="known")
        def test_known(case, measure):
            assert measure(case).meets_slo
        """
    )
    project.runpytest().assert_outcomes(skipped=2, xfailed=1, xpassed=1)


@pytest.mark.parametrize(
    ("decorated", "message"),
    [
        (
            f"@pytest.mark.inferbench({MARKER}, concurency=1)\ndef test_x(case): pass",
            "concurency: unknown field (did you mean 'concurrency'?)",
        ),
        (
            f"@pytest.mark.inferbench({MARKER})\ndef test_x(case): pass",
            "concurrency: is missing; give numbers of users such as [[]1, 16], or rates, a sweep or a trace instead",
        ),
        (
            f"@pytest.mark.inferbench({MARKER}, concurrency=1)\ndef test_x(): pass",
            "test_x has the inferbench marker but takes no argument 'case', so it would measure nothing",
        ),
        (
            "@pytest.mark.inferbench('a.bench.yaml')\ndef test_x(case): pass",
            "inferbench: takes keyword arguments only, such as model='smollm2-135m', not 'a.bench.yaml'",
        ),
        (
            f"@{BENCH}({MARKER}, concurrency=[1, 2])\n@{BENCH}({MARKER}, concurrency=2)\ndef test_x(case): pass",
            f"two inferbench markers of test_x make the case '{ID.format(tp=1, traffic='8x8', users=2)}'; keep one",
        ),
    ],
)
def test_a_wrong_marker_is_a_collection_error_with_file_and_line(project: pytest.Pytester, decorated: str, message: str) -> None:
    project.makepyfile(test_wrong=f"import pytest\n\n{decorated}")
    result = project.runpytest("-p", "no:xdist")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"test_wrong.py:3: {message}"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*site-packages*")
    assert result.ret == pytest.ExitCode.INTERRUPTED


def test_a_broken_suite_file_is_a_collection_error_beside_the_others(project: pytest.Pytester) -> None:
    suite(project)
    suite(project, "hardware: cpu\nengin: vllm\n", "broken.bench.yaml")
    result = project.runpytest("-p", "no:xdist", "--continue-on-collection-errors")
    result.assert_outcomes(passed=6, failed=6, errors=1)
    result.stdout.fnmatch_lines(["broken.bench.yaml:2: engin: unknown field (did you mean 'engine'?)"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*readers.py*")


def test_a_case_without_a_marker_says_what_it_is_for(project: pytest.Pytester) -> None:
    project.makepyfile("def test_x(case): pass")
    result = project.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["'case' is for tests with @pytest.mark.inferbench(...) and for suite files; this test has neither"]
    )


def test_a_suite_file_can_be_taken_by_a_marker(project: pytest.Pytester) -> None:
    suite(project, SUITE, "common.yaml")
    project.makepyfile(
        test_x="""
        import pytest
        @pytest.mark.inferbench(suite_file="common.yaml", concurrency=3, traffic="D(8,8)", tensor_parallel=1)
        def test_x(case): pass
        """
    )
    assert collected(project) == [f"test_x.py::test_x[{ID.format(tp=1, traffic='8x8', users=3)}]"]


def test_nothing_heavy_is_imported_and_nothing_is_started(project: pytest.Pytester) -> None:
    suite(project)
    project.makepyfile(f"import pytest\n@pytest.mark.inferbench({MARKER}, concurrency=[1, 2])\ndef test_x(case, measure): pass")
    project.makeconftest(
        """
        import sys
        HEAVY = "numpy pandas pyarrow matplotlib plotly httpx tokenizers docker scipy"
        def pytest_unconfigure():
            print("HEAVY", [name for name in HEAVY.split() if name in sys.modules])
        """
    )
    result = project.runpytest_subprocess("--collect-only", "-q", "-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.OK
    assert "HEAVY []" in result.outlines
    assert not (project.path / "reports").exists()


def test_the_timing_script_runs(project: pytest.Pytester) -> None:
    script = Path(__file__).parent / "benchmarks" / "collect.py"
    result = project.run(sys.executable, script, "--cases", "100", "--rounds", "1")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["100 cases, median of 1 rounds", "plain *1.00 x*", "marker *", "file *"])
