import pytest

from pytest_inferbench.cases.formats.gie_rates import request_rates
from pytest_inferbench.errors import ConfigError


def test_rates_are_the_table_times_the_accelerators() -> None:
    rates = request_rates("meta-llama/Llama-2-7b-hf", "nvidia-h100-80gb", accelerators=8, models=1)
    assert rates == ["80.0", "160.0", "240.0", "320.0", "480.0", "560.0", "640.0", "720.0", "800.0"]


def test_rates_are_shared_by_the_models() -> None:
    rates = request_rates("meta-llama/Llama-3.1-8B-Instruct", "nvidia-l4", accelerators=1, models=4)
    assert rates == ["0.2", "0.5", "0.8", "1.0", "1.2", "1.5", "1.8", "2.0", "2.2", "2.5"]


@pytest.mark.parametrize(
    ("model", "accelerator", "problem"),
    [
        ("my/model", "nvidia-l4", "there are no automatic ones for 'my/model'; known: meta-llama/Llama-2-7b-hf, "),
        (
            "google/gemma-2-27b",
            "nvidia-l4",
            "there are no automatic ones for google/gemma-2-27b on 'nvidia-l4'; known: nvidia-h100-80gb",
        ),
    ],
)
def test_an_unknown_pair_is_an_error(model: str, accelerator: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        request_rates(model, accelerator, accelerators=1, models=1)
    assert problem in str(error.value)
