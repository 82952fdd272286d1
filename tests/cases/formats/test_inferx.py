from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.cases.formats.format import Imported, Source
from pytest_inferbench.cases.formats.inferx import FORMAT, run_flags
from pytest_inferbench.cases.formats.registry import suite_of
from pytest_inferbench.errors import ConfigError

EXAMPLE = (Path(__file__).parent / "examples" / "commands" / "inferx.sh").read_text()
URL = "http://localhost:8000/v1/completions"
TEMPLATE = '{"model":"m","prompt":"{prompt}","max_tokens":64}'


def read(text: str, *, lenient: bool = False) -> tuple[Imported, ...]:
    return FORMAT.read(Source(path="x.sh", text=text), lenient=lenient)


def test_each_command_of_a_file_is_a_suite() -> None:
    first, second = (suite_of(one).cases()[0] for one in read(EXAMPLE))
    assert first.id == "x-1-cpu-openai-model-tp1-u8.129x128.129-r20max8"
    assert (first.load.rate_per_s, first.load.max_in_flight, first.load.duration_s, first.load.arrival) == (20, 8, 60, "poisson")
    assert (first.api, first.api_options.path) == ("completions", "/v1/generate")
    assert (second.api, second.api_options.path, second.api_options.stream) == ("template", "/v1/completions", False)
    assert second.model == "TinyLlama/TinyLlama-1.1B-Chat-v1.0"


def test_a_rate_and_a_concurrency_together_are_an_open_loop_with_a_cap() -> None:
    flags = run_flags({"endpoint": URL, "duration": "60", "rate": "20", "concurrency": "8", "outdir": "out", "gpu_monitor": True})
    assert flags == {
        "endpoint": "http://localhost:8000",
        "api": "completions",
        "rate": "20",
        "max_in_flight": 8,
        "traffic": "U(8,129)/(128,129)",
        "duration": "60",
        "output": "out",
    }


def test_a_concurrency_alone_is_a_closed_loop_and_a_rate_alone_has_no_cap() -> None:
    assert run_flags({"concurrency": 8})["concurrency"] == 8
    assert "max_in_flight" not in run_flags({"rate": 5})


def test_lengths_are_uniform_with_both_ends_or_picked_from_a_list() -> None:
    assert run_flags({"min_tokens": 4, "max_tokens": 6})["traffic"] == "U(4,7)/(128,129)"
    assert run_flags({"prompt_dist": "choices", "choices_tokens": "32,64,128"})["traffic"] == "P(32,64,128)/(128)"


def test_a_template_is_sent_as_it_is_and_says_how_long_answers_are() -> None:
    flags = run_flags({"endpoint": URL, "request_body_template": TEMPLATE})
    assert flags["api"] == "template"
    assert flags["body_template"] == '{"model": "m", "prompt": "{prompt}", "max_tokens": 64}'
    assert (flags["path"], flags["text_path"], flags["no_stream"], flags["model"]) == (
        "/v1/completions",
        "choices[0].text",
        True,
        "m",
    )
    assert flags["traffic"] == "U(8,129)/(64,65)"


def test_a_template_that_asks_for_a_stream_gets_one() -> None:
    template = '{"messages": [{"role": "user", "content": "{prompt}"}], "stream": true}'
    flags = run_flags({"endpoint": "http://h:1/v1/chat/completions", "request_body_template": template})
    assert flags["text_path"] == "choices[0].delta.content"
    assert "no_stream" not in flags


def test_prompts_of_a_file_are_its_lines() -> None:
    flags = run_flags({"sample_prompts_file": "prompts.txt", "request_body_template": TEMPLATE, "endpoint": URL})
    assert {name: flags[name] for name in flags if name.startswith("dataset")} == {
        "dataset": "prompts.txt",
        "dataset_format": "lines",
        "dataset_output": "64",
    }
    assert "traffic" not in flags
    (imported,) = read(f"python inferx_benchmark_framework.py --endpoint {URL} --rate 1 --duration 5 --sample-prompts-file p.txt")
    assert imported.suite["dataset"] == {"path": "p.txt", "format": "lines", "output_tokens": 128}


@pytest.mark.parametrize(
    ("given", "flag", "problem"),
    [
        ({"endpoint": "localhost:8000"}, "--endpoint", "must be a URL such as http://127.0.0.1:8000/v1/completions"),
        ({"request_body_template": "{prompt}"}, "--request-body-template", "is not JSON"),
        ({"request_body_template": "{}"}, "--request-body-template", "must be a JSON object with {prompt} in it"),
        ({"prompt_dist": "normal"}, "--prompt-dist", "must be uniform or choices, not 'normal'"),
        ({"prompt_dist": "choices"}, "--prompt-dist", "choices needs --choices-tokens, such as 32,64,128"),
        ({"prompt_dist": "uniform", "choices_tokens": "1"}, "--choices-tokens", "goes with --prompt-dist choices"),
        ({"choices_tokens": "1", "min_tokens": 1}, "--min-tokens", "goes with --prompt-dist uniform"),
        ({"choices_tokens": "1,x"}, "--choices-tokens", "must be a whole number above 0, not 'x'"),
        ({"min_tokens": 9, "max_tokens": 8}, "--min-tokens", "is more than --max-tokens, which is 8"),
        ({"concurrency": 0}, "--concurrency", "must be a whole number above 0, not 0"),
    ],
)
def test_flags_that_make_no_sense_are_named(given: dict[str, Any], flag: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        run_flags(given)
    assert str(error.value).startswith(f"{flag}: ")
    assert problem in str(error.value)


def test_in_a_file_the_flags_line_is_told_too() -> None:
    text = EXAMPLE.replace("--prompt-dist uniform", "--prompt-dist choice")
    with pytest.raises(ConfigError) as error:
        read(text)
    assert str(error.value) == "x.sh:7: --prompt-dist: must be uniform or choices, not 'choice'"


def test_a_beginning_of_a_flag_is_what_argparse_takes_it_for_in_lenient_reading_only() -> None:
    text = f"python inferx_benchmark_framework.py --endpoint {URL} --dur 5 --rate 1"
    with pytest.raises(ConfigError, match="--dur: is no option; InferX takes it for --duration"):
        read(text)
    assert read(text, lenient=True)[0].suite["load"]["duration"] == "5"
