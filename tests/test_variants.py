"""What A and B change about a case."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.cases.case import Case, EngineSpec, Scalar
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.variants import applied, parse_variant, uses_tree, what_differs
from tests.records.example import CASE

NOWHERE = Path("/nowhere")


def changed(text: str, case: Case = CASE, *, tree: Path = NOWHERE) -> Case:
    return applied(case, parse_variant(text), tree=tree)


def args(text: str) -> dict[str, Scalar | None]:
    return dict(changed(text).engine.args)


def test_base_is_the_case_without_its_objectives() -> None:
    assert changed("base") == replace(CASE, slo=())


def test_an_argument_is_laid_over_the_suites_in_its_place() -> None:
    assert changed("args.ctx=512,args.threads=4").engine.args == (("ctx", 512), ("flag", None), ("threads", 4))


@pytest.mark.parametrize(
    ("text", "value"), [("64", 64), ("0.9", 0.9), ("true", True), ('"64"', "64"), ("fp8", "fp8"), ("[1]", "[1]"), ("a,b", "a,b")]
)
def test_values_are_what_they_look_like(text: str, value: Scalar) -> None:
    assert args(f"args.x={text}")["x"] == value


def test_an_argument_without_a_value_is_taken_away() -> None:
    assert args("args.ctx=") == {"flag": None}


def test_image_model_and_environment_are_replaced() -> None:
    case = changed("image=vllm/vllm-openai:v0.10.0, model=qwen ,env.OMP_NUM_THREADS=4")
    assert (case.engine.image, case.model, case.engine.env) == ("vllm/vllm-openai:v0.10.0", "qwen", (("OMP_NUM_THREADS", "4"),))
    assert case.id == CASE.id


def test_another_engine_does_not_get_this_ones_arguments() -> None:
    case = changed("engine=sglang,args.tp=1", replace(CASE, engine=replace(CASE.engine, image="a:1", extra_args=("-v",))))
    assert (case.engine.name, case.engine.args, case.engine.extra_args, case.engine.image) == ("sglang", (("tp", 1),), (), None)


def test_a_tree_is_filled_in_and_comes_first_where_programs_and_python_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    for name in ("src", "bin", ".venv/bin"):
        (tmp_path / name).mkdir(parents=True)
    engine = EngineSpec(name="command", args=(("command", "python {tree}/serve.py"),), extra_args=("--at={tree}",))
    case = changed("commit=abc", replace(CASE, engine=engine), tree=tmp_path)
    assert case.engine.args == (("command", f"python {tmp_path}/serve.py"),)
    assert case.engine.extra_args == (f"--at={tmp_path}",)
    assert dict(case.engine.env) == {
        "PYTHONPATH": f"{tmp_path}:{tmp_path}/src",
        "PATH": f"{tmp_path}/.venv/bin:{tmp_path}/bin:/usr/bin",
    }


def test_without_a_commit_the_tree_is_filled_in_and_nothing_else() -> None:
    engine = EngineSpec(name="command", env=(("HOME_OF_IT", "{tree}/x"),))
    case = replace(CASE, engine=engine)
    assert uses_tree(case)
    assert changed("base", case).engine.env == (("HOME_OF_IT", "/nowhere/x"),)
    assert not uses_tree(CASE)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "'' changes nothing that is known; write base, or changes separated by commas: args.NAME=VALUE"),
        ("threads=4", "'threads=4' changes nothing that is known"),
        ("base,args.x=1", "'base' changes nothing that is known"),
        ("args.x=1,args.x=2", "args.x is given twice"),
        ("image=", "image has no value"),
        ("env.9=1", "changes nothing that is known"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_variant(text)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("text", "engine", "words"),
    [
        ("image=a:1", EngineSpec(name="vllm", launcher="process"), "runs its server as a process (launcher: process)"),
        ("commit=abc", EngineSpec(name="vllm", image="a:1"), "build an image of the commit, and compare by image="),
    ],
)
def test_what_cannot_be_done_to_a_case_names_it(text: str, engine: EngineSpec, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        changed(text, replace(CASE, engine=engine))
    assert str(error.value).startswith(CASE.id)
    assert words in str(error.value)


def test_a_secret_is_not_shown() -> None:
    assert parse_variant("env.MY_API_KEY=verySecret1234567").shown.startswith("env.MY_API_KEY=RED")
    case = changed("env.MY_API_KEY=verySecret1234567")
    assert "verySecret" not in " ".join(what_differs(CASE, case))


def test_what_differs_is_named_with_both_values() -> None:
    assert what_differs(CASE, changed("args.ctx=512,args.threads=4,model=qwen")) == (
        f"model {CASE.model} -> qwen",
        "engine.args.ctx 2048 -> 512",
        "engine.args.threads not given -> 4",
    )
    assert what_differs(CASE, changed("base")) == ()


@given(
    st.dictionaries(
        st.from_regex(r"args\.[a-z][a-z_.-]{0,8}|env\.[A-Z][A-Z_]{0,8}", fullmatch=True),
        st.from_regex(r"[a-z0-9:/.,-]{1,12}", fullmatch=True).filter(lambda value: not value.endswith(",")),
        min_size=1,
        max_size=4,
    )
)
def test_what_a_variant_says_of_itself_reads_back(changes: dict[str, str]) -> None:
    variant = parse_variant(",".join(f"{name}={value}" for name, value in changes.items()))
    assert parse_variant(variant.text) == variant
    assert dict(variant.env) == {name[4:]: value for name, value in changes.items() if name.startswith("env.")}
