from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

from pytest_inferbench.cases import schema
from pytest_inferbench.cases.problems import LOAD, MATRIX, TOP, TOP_TOO
from pytest_inferbench.cases.suite import read_suite

DOCUMENTATION = (Path(__file__).parents[2] / "docs" / "suites.md").read_text()
EXAMPLES = [dedent(block) for block in re.findall(r"```yaml\n(.*?)```", DOCUMENTATION, re.DOTALL)]


def example(beginning: str) -> str:
    return next(text for text in EXAMPLES if text.startswith(beginning))


def test_a_field_has_one_place_in_a_file() -> None:
    assert set(schema.Suite.model_fields) == {*TOP, *TOP_TOO, "matrix", "load"}
    assert set(schema.Axes.model_fields) == set(MATRIX)
    assert set(schema.Load.model_fields) == set(LOAD)


def test_every_field_is_documented() -> None:
    for name in (*TOP, *MATRIX, *LOAD):
        assert re.search(rf"^\|.*`{name}`.*\|", DOCUMENTATION, re.MULTILINE), name


def test_the_examples_of_the_documentation_are_valid_suites(tmp_path: Path) -> None:
    main, heir = example("# suites/llama.bench.yaml"), example("# suites/llama_h200.bench.yaml")
    (tmp_path / "llama.bench.yaml").write_text(main)
    (tmp_path / "heir.bench.yaml").write_text(heir)
    (tmp_path / "shaped.bench.yaml").write_text(main + example("exclude:"))
    (tmp_path / "preset.bench.yaml").write_text(example("hardware: h100\nengine: vllm\npreset"))
    (tmp_path / "engines.bench.yaml").write_text(main.replace("engine: vllm\n", example("engine:\n")))
    (tmp_path / "container.bench.yaml").write_text(main.replace("engine: vllm\n", example("# vLLM in a container")))
    counts = {path.name: len(read_suite(path).cases()) for path in sorted(tmp_path.iterdir())}
    # 12 of the matrix, less 4, and 4 of the new level and 1 of the new traffic.
    assert counts == {
        "container.bench.yaml": 12,
        "engines.bench.yaml": 24,
        "heir.bench.yaml": 8,
        "llama.bench.yaml": 12,
        "preset.bench.yaml": 5,
        "shaped.bench.yaml": 13,
    }
