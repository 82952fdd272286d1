"""`-k` and `-m` on the command line mean what they mean to pytest."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_inferbench.engines import registry
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.steps_selection import selected, servers_of
from tests.sessions import INI, own_server, suite

PYTHON = """
import pytest

@pytest.mark.inferbench(hardware="cpu", engine="openai", model="m", traffic="D(8,4)", concurrency=[1, 4], requests=3)
def test_chat(case, measure):
    raise AssertionError("must not run")
"""
CONFTEST = """
class Mine:
    name = "mine-of-selection"
    def server(self, case):
        raise NotImplementedError

MINE = Mine()

def pytest_inferbench_engines(config):
    return [MINE]
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pytest.ini").write_text(INI, encoding="utf-8")
    (tmp_path / "a.bench.yaml").write_text(suite("a", engine=own_server(), concurrency="[1, 2, 16]"), encoding="utf-8")
    (tmp_path / "test_b.py").write_text(PYTHON, encoding="utf-8")
    return tmp_path


def ids(*suites: str, keyword: str = "", markers: str = "") -> list[str]:
    return [case.id.rpartition("-")[2] for case in selected(suites, keyword=keyword, markers=markers)]


def test_cases_of_files_and_of_functions_are_selected_as_pytest_does(project: Path) -> None:
    assert ids("a.bench.yaml") == ["c1", "c2", "c16"]
    assert ids("a.bench.yaml", keyword="c1 and not c16") == ["c1"]
    assert ids("a.bench.yaml", markers="case(concurrency=16)") == ["c16"]
    assert ids("test_b.py", keyword="c4") == ["c4"]
    assert sorted(ids(".", keyword="c1 and not c16")) == ["c1", "c1"]
    assert not (project / "reports").exists()


def test_engines_of_the_users_own_are_known_afterwards(project: Path) -> None:
    (project / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    selected(["a.bench.yaml"])
    assert "mine-of-selection" in registry.names()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"suites": ["a.bench.yaml"], "keyword": "nothing"},
            "no case is selected by a.bench.yaml -k nothing; pytest --collect-only",
        ),
        ({"suites": ["a.bench.yaml"], "keyword": "c1 and"}, "Wrong expression passed to '-k'"),
        ({"suites": ["missing.bench.yaml"]}, "file or directory not found: missing.bench.yaml"),
        ({"suites": ["bad.bench.yaml"]}, "bad.bench.yaml"),
    ],
)
def test_what_is_wrong_is_said_in_pytests_words(project: Path, arguments: dict[str, object], words: str) -> None:
    (project / "bad.bench.yaml").write_text("suite: bad\nhardware: 3\n", encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        selected(**arguments)  # type: ignore[arg-type]  # written as a table
    assert words in str(error.value)


def test_cases_of_one_server_are_one_server() -> None:
    (server,) = servers_of(selected(["a.bench.yaml"]))
    assert server.cases == 3
    key = server.case.server_key
    assert server.words == f"command with loopback on cpu (server {key}, 3 cases)"
    (one,) = servers_of(selected(["a.bench.yaml"], keyword="c16"))
    assert one.words == f"command with loopback on cpu (server {key}, 1 case)"
