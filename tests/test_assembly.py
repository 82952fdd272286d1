from __future__ import annotations

from pathlib import Path

import pytest

from pytest_inferbench import assembly
from pytest_inferbench.engines import registry
from pytest_inferbench.engines.openai import OpenAIEngine
from pytest_inferbench.launch.pool import Attachment
from pytest_inferbench.load.seeds import Seeds
from pytest_inferbench.options import read_options
from pytest_inferbench.records.run_directory import open_run
from tests.sessions import INI

pytest_plugins = ["pytester"]

ENGINES = """
from dataclasses import dataclass
from pytest_inferbench.engines.openai import OpenAIEngine

@dataclass(frozen=True, kw_only=True)
class Mine(OpenAIEngine):
    name: str = "mine-of-test-assembly"

MINE = Mine()

def pytest_inferbench_engines(config):
    return [MINE]
"""


@pytest.fixture(autouse=True)
def project(pytester: pytest.Pytester) -> None:
    pytester.makeini(INI)


def wish(pytester: pytest.Pytester, *arguments: str) -> assembly.Wish:
    config = pytester.parseconfigure(*arguments)
    run = open_run("r1", output=pytester.path / "run")
    return assembly.Wish(config=config, options=read_options(config), run=run, seeds=Seeds(seed=1, salt=2), cases=3)


def test_options_reach_what_measures(pytester: pytest.Pytester) -> None:
    flags = ("--inferbench-exclusive", "--inferbench-no-calibration", "--inferbench-slo=e2e_p50 <= 1s", "--inferbench-workers=2")
    made, troubles = assembly.experiment(wish(pytester, *flags), show=lambda _: None, waiting=lambda _: None)
    settings = made.settings
    assert (settings.exclusive, settings.calibration, settings.slo, settings.workers) == (True, False, ("e2e_p50 <= 1s",), 2)
    assert (settings.cases, settings.seeds, settings.resume, settings.replay) == (3, Seeds(seed=1, salt=2), None, None)
    assert (made.pool.attachment, troubles) == (None, [])


def test_a_server_that_is_there_is_attached_to(pytester: pytest.Pytester) -> None:
    flags = ("--inferbench-endpoint=http://h:1", "--inferbench-endpoint-model=m")
    made, _ = assembly.experiment(wish(pytester, *flags), show=lambda _: None, waiting=lambda _: None)
    assert made.pool.attachment == Attachment(url="http://h:1", model="m")


def test_engines_of_plugins_are_taken_in(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(ENGINES)
    assembly.experiment(wish(pytester), show=lambda _: None, waiting=lambda _: None)
    assert isinstance(registry.engine("mine-of-test-assembly"), OpenAIEngine)


def test_a_run_that_goes_on_says_what_of_it_cannot_be_read(pytester: pytest.Pytester) -> None:
    wanted = wish(pytester)
    broken = wanted.run.path / "case"
    broken.mkdir()
    Path(broken, "summary.json").write_text("{", encoding="utf-8")
    going_on = wish(pytester, f"--inferbench-resume={wanted.run.path}")
    made, troubles = assembly.experiment(going_on, show=lambda _: None, waiting=lambda _: None)
    assert made.settings.resume is not None
    assert [str(broken) in trouble for trouble in troubles] == [True]
