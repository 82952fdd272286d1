"""What holds for every format that measures an endpoint: one reader knows a file, and its suite file makes the same cases."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import cast

import pytest
import yaml

from pytest_inferbench.cases.case import Case
from pytest_inferbench.cases.formats.format import Format, Source
from pytest_inferbench.cases.formats.registry import suite_of
from pytest_inferbench.cases.suite import read_suite

EXAMPLES = Path(__file__).parent / "examples"
FILES = {
    "commands/aiperf.sh": "aiperf",
    "commands/dynamo.sh": "dynamo_command",
    "commands/genai-bench.sh": "genai_bench",
    "commands/guidellm.sh": "guidellm",
    "commands/inferx.sh": "inferx",
    "commands/vllm.sh": "vllm_bench",
    "dynamo/harness.yaml": "dynamo",
    "dynamo/object.yaml": "dynamo",
    "inference-perf/config.yml": "inference_perf",
}


def format_named(module: str) -> Format:
    return cast("Format", import_module(f"pytest_inferbench.cases.formats.{module}").FORMAT)


@pytest.mark.parametrize("file", FILES)
def test_one_reader_and_no_other_knows_each_file(file: str) -> None:
    path = EXAMPLES / file
    known = {module for module in FILES.values() if format_named(module).recognises(path, path.read_text())}
    assert known == {FILES[file]}


@pytest.mark.parametrize("file", FILES)
def test_the_file_and_what_it_converts_to_make_the_same_cases(file: str, tmp_path: Path) -> None:
    path = EXAMPLES / file
    for imported in format_named(FILES[file]).read(Source(path=str(path), text=path.read_text()), lenient=False):
        converted = tmp_path / f"{imported.name}.bench.yaml"
        converted.write_text(yaml.safe_dump(dict(imported.suite), sort_keys=False))
        cases, again = suite_of(imported).cases(), read_suite(converted).cases()
        assert [_comparable(case, path.parent) for case in cases] == [_comparable(case, tmp_path) for case in again]


def _comparable(case: Case, folder: Path) -> str:
    """All of a case but where it was written; files that it names are looked for beside that."""
    return repr(replace(case, origin=None)).replace(str(folder), "")
