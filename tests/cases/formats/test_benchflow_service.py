from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_inferbench.cases.formats.benchflow_service import Service, service_of
from pytest_inferbench.cases.formats.format import Source
from pytest_inferbench.cases.formats.reading import Reading
from pytest_inferbench.errors import ConfigError


def service(**fields: Any) -> Service:
    data = {"service": {"image": "vllm/vllm-openai", "version": "v1", **fields}}
    source = Source(path="x.json", text=json.dumps(data))
    return service_of(Reading(source=source, document=source.document(), lenient=False), ("service",))


def test_flags_that_stand_twice_stay_words_in_their_order() -> None:
    found = service(extra_args=["--model=a", "--lora=x", "--eager", "--lora=y"])
    assert found.engine["args"] == ["--lora=x", "--eager", "--lora=y"]


def test_a_revision_is_the_engines_own_field() -> None:
    found = service(extra_args=["--model", "org/a", "--revision", "abc", "--tp=1"])
    assert (found.engine["revision"], found.model, found.tensor_parallel) == ("abc", "org/a", 1)
    assert "args" not in found.engine


def test_no_gpus_is_allowed() -> None:
    assert service(num_gpu_devices=0, extra_args=["--model=a"]).gpus == 0


def test_an_unknown_engine_is_run_as_it_stands_with_the_port_that_it_is_given() -> None:
    found = service(image="mine/server", extra_args=["--model=a", "--x"], start_mode="flags")
    assert found.engine["name"] == "command"
    assert found.engine["extra_args"] == ["--model=a", "--x", "--port", "{port}"]
    assert (found.engine["args"], found.engine["start_mode"]) == ({"served_name": "a"}, "flags")
    found = service(image="mine/server", extra_args=["serve", "--port", "9", "--model=a"], start_mode="command")
    assert found.engine["extra_args"] == ["serve", "--port", "{port}", "--model=a"]
    assert found.engine["start_mode"] == "command"


def test_a_command_is_needed_where_one_is_meant() -> None:
    with pytest.raises(ConfigError, match=r"service.extra_args: names no command, which start_mode command needs"):
        service(start_mode="command", extra_args=["--model=a"])
    with pytest.raises(ConfigError, match=r"--tensor-parallel-size must be a whole number, not 'two'"):
        service(extra_args=["--model=a", "--tensor-parallel-size=two"])
    with pytest.raises(ConfigError, match=r"service.env_vars: must hold names and values"):
        service(extra_args=["--model=a"], env_vars=["A=1"])
    with pytest.raises(ConfigError, match=r"--api-key: a command line is readable by everybody"):
        service(image="lmsysorg/sglang", extra_args=["--model-path=a", "--api-key=k"])
