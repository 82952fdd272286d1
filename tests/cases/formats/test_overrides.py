from __future__ import annotations

from typing import Any

import pytest

from pytest_inferbench.cases.case import Origin
from pytest_inferbench.cases.formats.format import Imported
from pytest_inferbench.cases.formats.overrides import KEYS, chosen_tool, overridden, parse_overrides
from pytest_inferbench.cases.formats.registry import suite_of
from pytest_inferbench.errors import ConfigError

SUITE: dict[str, Any] = {
    "hardware": "h100",
    "engine": {"name": "vllm", "image": "vllm/vllm-openai:v1", "args": {"max-model-len": 4096}},
    "matrix": {"model": "meta-llama/Llama-2-7b-hf", "tensor_parallel": 4, "traffic": ["D(8,8)"], "rate": [1, 2]},
    "load": {"requests": 1000, "arrival": "gamma", "burstiness": 0.5},
}


def imported(**more: Any) -> Imported:
    return Imported(name="x", suite={**SUITE, **more}, origin=Origin(file="x.json", line=3))


def laid(text: str, /, **more: Any) -> dict[str, Any]:
    return dict(overridden(imported(**more), parse_overrides((text,))).suite)


def test_another_engine_has_nothing_of_the_one_before() -> None:
    suite = laid("engine=llamacpp,model=smollm2-135m")
    assert suite["engine"] == "llamacpp"
    assert suite["matrix"] == {
        "model": "smollm2-135m",
        "tensor_parallel": 1,
        "traffic": ["D(8,8)"],
        "rate": [1, 2],
        "hardware": "cpu",
    }


def test_llamacpp_stays_on_a_gpu_that_is_asked_for() -> None:
    assert laid("engine=llamacpp,hardware=l4")["matrix"]["hardware"] == "l4"


def test_a_load_can_be_shortened_and_the_level_replaced_with_what_shapes_it() -> None:
    suite = laid("requests=5,concurrency=2,traffic=D(16,4)")
    assert suite["load"] == {"requests": 5}
    assert suite["matrix"]["concurrency"] == 2
    assert "rate" not in suite["matrix"]
    assert suite["matrix"]["traffic"] == "D(16,4)"


def test_the_overridden_makes_cases_and_the_original_is_as_it_was() -> None:
    one = imported()
    changed = overridden(one, parse_overrides(("engine=llamacpp,model=smollm2-135m", "requests=5")))
    assert next(case.id for case in suite_of(changed).cases()).startswith("cpu-llamacpp-smollm2-135m-tp1-d8x8-")
    assert one.suite["engine"]["name"] == "vllm"
    assert changed.notes == ("overridden: engine=llamacpp, model=smollm2-135m, requests=5",)


def test_a_data_set_can_lie_elsewhere_and_goes_where_the_traffic_is_replaced() -> None:
    assert laid("dataset=/d/x.json", dataset={"path": "y.json", "format": "sharegpt"})["dataset"]["path"] == "/d/x.json"
    assert "dataset" not in laid("traffic=D(8,8)", dataset={"path": "y.json"})


INCLUDE = [{"rate": 2, "requests": 9, "warmup": 1}, {"traffic": "D(8,8)", "extra_body": {"a": 1}}]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("requests=3", [{"rate": 2, "warmup": 1}, INCLUDE[1]]),
        ("requests=3,warmup=0", [INCLUDE[1]]),
        ("rate=5", [INCLUDE[1]]),
        ("concurrency=5", [INCLUDE[1]]),
        ("traffic=D(9,9)", [INCLUDE[0]]),
        ("rate=5,traffic=D(9,9)", None),
        ("model=smollm2-135m", INCLUDE),
    ],
)
def test_entries_go_with_the_axes_that_they_are_about_and_with_their_last_option(text: str, left: Any) -> None:
    suite = laid(text, include=INCLUDE)
    assert suite.get("include") == left
    changed = overridden(imported(include=INCLUDE), parse_overrides((text,)))
    assert len(suite_of(changed).cases()) == (2 if "rate" not in text and "concurrency" not in text else 1)


def test_what_was_the_other_engine_s_or_api_s_own_place_goes_with_it() -> None:
    assert "path" not in laid("engine=llamacpp", path="/v1/generate", api="completions")
    template = {"api": "template", "path": "/g", "body": '{"p": "{prompt}"}', "text": "t"}
    assert laid("engine=llamacpp", **template)["path"] == "/g"
    assert not {"path", "body", "text"} & laid("api=completions", **template).keys()


def test_a_shared_beginning_goes_with_the_traffic() -> None:
    assert "prefix" not in laid("traffic=D(8,8)", prefix={"tokens": 400})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("engine", "--inferbench-override: 'engine' must be KEY=VALUE, such as engine=llamacpp"),
        ("model=", "--inferbench-override: 'model=' must be KEY=VALUE, such as engine=llamacpp"),
        ("modle=x", f"--inferbench-override: 'modle' cannot be overridden (did you mean 'model'?); known: {', '.join(KEYS)}"),
        ("model=a,model=b", "--inferbench-override: model is given twice; keep one"),
        ("requests=many", "--inferbench-override: requests must be a whole number, not 'many'"),
        ("dataset=x", "--inferbench-override: there is no data set to replace; override the traffic instead"),
    ],
)
def test_a_wrong_override_is_told(text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        laid(text)
    assert str(caught.value) == expected


def test_the_tool_of_a_file_runs_where_it_is_asked_for() -> None:
    one = Imported(name="x", suite=SUITE, origin=Origin(file="x.json", line=3), with_tool=({"a": 1}, {"a": 2}))
    assert chosen_tool((one,), {}) == (one,)
    assert [each.suite for each in chosen_tool((one,), {"tool": "container"})] == [{"a": 1}, {"a": 2}]
    with pytest.raises(ConfigError, match=r"^x.json:3: has no load generator of its own to run in a container; leave"):
        chosen_tool((imported(),), {"tool": "container"})
    with pytest.raises(ConfigError, match=r"^--inferbench-override: tool is native or container, not 'x'$"):
        chosen_tool((one,), {"tool": "x"})


def test_another_engine_needs_no_cluster() -> None:
    changed = overridden(imported(cluster={"settings": "{}"}), parse_overrides(("engine=llamacpp",)))
    assert "cluster" not in changed.suite
    assert changed.notes[-1] == "its cluster is left out: one server of the other engine answers, without gateway and replicas"
    assert "cluster" in laid("model=m", cluster={"settings": "{}"})
