import argparse
from enum import IntEnum
from typing import Any

import pytest

from pytest_inferbench.launch import llamacpp_server
from pytest_inferbench.launch.llamacpp_server import BadOption, configure, set_option


class FlashAttention(IntEnum):
    FLASH_AUTO = -1
    FLASH_DISABLED = 0
    FLASH_ENABLED = 1


class Threads:
    def __init__(self) -> None:
        self.n_threads = 0
        self.poll = 50


class Model:
    path = ""


class Params:
    """The parameters of llama.cpp that these tests touch, with the kinds of values that the real ones have."""

    def __init__(self) -> None:
        self.model = Model()
        self.cpuparams = Threads()
        self.cpuparams_batch = Threads()
        self.n_batch = 2048
        self.n_ubatch = 512
        self.rope_freq_base = 0.0
        self.use_jinja = True
        self.flash_attn_type: IntEnum = FlashAttention.FLASH_AUTO
        self.chat_template = ""
        self.api_keys: list[str] = []
        self.sampling_of: dict[str, int] = {}


def options(*argv: str) -> argparse.Namespace:
    return llamacpp_server._parser().parse_args(["--model", "m.gguf", *argv])


def configured(*argv: str) -> Any:
    params = Params()
    configure(params, options(*argv))
    return params


def test_the_options_are_llamacpps_parameters() -> None:
    params = configured("--port", "80", "--parallel", "2", "--ctx", "4096", "--threads", "3", "--alias", "a")
    assert (params.model.path, params.hostnames, params.port) == ("m.gguf", ["127.0.0.1"], 80)
    assert (params.n_parallel, params.n_ctx, params.model_alias) == (2, 4096, {"a"})
    assert (params.cpuparams.n_threads, params.cpuparams_batch.n_threads) == (3, 3)
    assert params.endpoint_metrics is True


def test_in_a_container_it_listens_where_it_is_told() -> None:
    assert configured("--host", "::1").hostnames == ["::1"]


def test_the_defaults_serve_four_at_once() -> None:
    assert (configured().n_parallel, configured().n_ctx) == (4, 8192)


def test_a_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", "k")
    assert configured().api_keys == ["k"]
    monkeypatch.delenv("LLAMA_API_KEY")
    assert configured().api_keys == []


@pytest.mark.parametrize(
    ("setting", "name", "value"),
    [
        ("n_batch=64", "n_batch", 64),
        ("rope_freq_base=1e4", "rope_freq_base", 10000.0),
        ("use_jinja=false", "use_jinja", False),
        ("use_jinja=True", "use_jinja", True),
        ("chat_template=a=b", "chat_template", "a=b"),
        ("flash_attn_type=enabled", "flash_attn_type", FlashAttention.FLASH_ENABLED),
        ("flash_attn_type=FLASH_DISABLED", "flash_attn_type", FlashAttention.FLASH_DISABLED),
        ("flash_attn_type=-1", "flash_attn_type", FlashAttention.FLASH_AUTO),
        ("api_keys=a,b", "api_keys", ["a", "b"]),
    ],
)
def test_any_parameter_is_set_as_the_kind_of_value_it_has(setting: str, name: str, value: Any) -> None:
    assert getattr(configured("--set", setting), name) == value


def test_a_parameter_inside_another_is_set_by_a_dotted_name() -> None:
    assert configured("--set", "cpuparams.poll=0").cpuparams.poll == 0


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("n_bach", "1", "llama.cpp has no option 'n_bach'; did you mean n_batch or n_ubatch?"),
        ("cpuparams.pol", "1", "llama.cpp has no option 'cpuparams.pol'; did you mean poll?"),
        ("zzz", "1", "llama.cpp has no option 'zzz'; see dir(xllamacpp.CommonParams())"),
        ("__class__", "1", "llama.cpp has no option '__class__'; see dir(xllamacpp.CommonParams())"),
        ("n_batch", "x", "the option 'n_batch' does not take 'x': invalid literal for int() with base 10: 'x'"),
        ("use_jinja", "1", "the option 'use_jinja' does not take '1': say true or false"),
        (
            *("flash_attn_type", "on"),
            "the option 'flash_attn_type' does not take 'on': say one of FLASH_AUTO, FLASH_DISABLED, FLASH_ENABLED",
        ),
        ("sampling_of", "x", "the option 'sampling_of' does not take 'x': a dict cannot be written as one word"),
    ],
)
def test_what_llamacpp_does_not_take_is_said(name: str, text: str, message: str) -> None:
    with pytest.raises(BadOption) as error:
        set_option(Params(), name, text)
    assert str(error.value) == message


def test_a_setting_without_a_value_is_refused() -> None:
    with pytest.raises(BadOption, match="--set n_batch: write NAME=VALUE"):
        configured("--set", "n_batch")
