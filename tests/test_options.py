from __future__ import annotations

from pathlib import Path

import pytest

import pytest_inferbench.experiment  # noqa: F401 - brings NumPy, which a process can import only once, ahead of the inner runs
from pytest_inferbench.options import Options, again_flags, read_options

pytest_plugins = ["pytester"]

URL = "--inferbench-endpoint=http://127.0.0.1:8000"
FLAGS = (
    "--inferbench-endpoint",
    "--inferbench-endpoint-model",
    "--inferbench-api-key-env",
    "--inferbench-tokenizer",
    "--inferbench-output",
    "--inferbench-seed",
    "--inferbench-replay",
    "--inferbench-slo",
    "--inferbench-lease-timeout",
    "--inferbench-workers",
    "--inferbench-inventory",
    "--inferbench-exclusive",
    "--inferbench-keep-servers",
    "--inferbench-reuse-servers",
    "--inferbench-resume",
    "--inferbench-dry-run",
    "--inferbench-no-calibration",
    "--inferbench-simulate",
    "--inferbench-time-scale",
    "--inferbench-fault",
    "--inferbench-config",
    "--inferbench-override",
    "--inferbench-lenient",
    "--inferbench-export",
    "--inferbench-confidence",
    "--inferbench-inconclusive",
    "--inferbench-stop",
    "--inferbench-save",
    "--inferbench-compare",
    "--inferbench-fail-on",
    "--inferbench-noise",
    "--inferbench-repeats",
    "--inferbench-restart",
    "--inferbench-store",
    "--inferbench-upload",
)


def options(pytester: pytest.Pytester, *arguments: str) -> Options:
    return read_options(pytester.parseconfig("-p", "no:asyncio", *arguments))


def complaint(pytester: pytest.Pytester, *arguments: str) -> str:
    with pytest.raises(pytest.UsageError) as caught:
        options(pytester, *arguments)
    return str(caught.value)


def test_nothing_is_asked_for_by_default(pytester: pytest.Pytester) -> None:
    assert options(pytester) == Options(
        endpoint=None,
        endpoint_model=None,
        api_key_env=None,
        tokenizer=None,
        output=None,
        seed=None,
        replay=None,
        slo=(),
        lease_timeout_s=3600.0,
    )


def test_what_is_asked_for_is_read(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-1")
    tokenizer = pytester.path / "tokenizer.json"
    tokenizer.write_text("{}", encoding="utf-8")
    named = ("--inferbench-endpoint-model=m", "--inferbench-api-key-env=MY_KEY", "--inferbench-tokenizer=.")
    rest = ("--inferbench-output=out", "--inferbench-seed=7", "--inferbench-lease-timeout=1.5", "--inferbench-workers=3")
    slo = ("--inferbench-slo=ttft_p99 <= 1s", "--inferbench-slo=error_rate <= 1%")
    assert options(pytester, URL, *named, *rest, *slo) == Options(
        endpoint="http://127.0.0.1:8000",
        endpoint_model="m",
        api_key_env="MY_KEY",
        tokenizer=pytester.path,
        output=pytester.path / "out",
        seed=7,
        replay=None,
        slo=("ttft_p99 <= 1s", "error_rate <= 1%"),
        lease_timeout_s=1.5,
        workers=3,
    )


def test_a_path_from_home_is_found_there(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/nowhere")
    assert options(pytester, "--inferbench-output=~/out").output == Path("/nowhere/out")


def test_a_replay_has_the_seeds_of_its_record(pytester: pytest.Pytester) -> None:
    missing = f"--inferbench-replay: there is no folder {pytester.path / 'old'}; give that of a run, or of a case"
    assert complaint(pytester, "--inferbench-replay=old") == missing
    pytester.mkdir("old")
    assert options(pytester, "--inferbench-replay=old").replay == pytester.path / "old"
    assert complaint(pytester, "--inferbench-replay=old", "--inferbench-seed=1") == (
        "--inferbench-replay has the seeds of its record; leave --inferbench-seed out"
    )


@pytest.mark.parametrize("flag", ["endpoint-model", "api-key-env", "tokenizer"])
def test_what_describes_an_endpoint_needs_one(pytester: pytest.Pytester, flag: str) -> None:
    assert complaint(pytester, f"--inferbench-{flag}=x") == (
        f"--inferbench-{flag} belongs to --inferbench-endpoint: give the server's URL as well, such as http://127.0.0.1:8000"
    )


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("--inferbench-seed=-1", "--inferbench-seed must be 0 or more, not -1"),
        ("--inferbench-workers=0", "--inferbench-workers must be 1 or more, not 0"),
        ("--inferbench-lease-timeout=-1", "--inferbench-lease-timeout must be 0 s or more, not -1"),
        ("--inferbench-lease-timeout=nan", "--inferbench-lease-timeout must be 0 s or more, not nan"),
        ("--inferbench-slo=ttft_p99 <= 5 parsecs", "--inferbench-slo: 'ttft_p99 <= 5 parsecs': "),
        ("--inferbench-slo=quickness <= 5ms", "--inferbench-slo: 'quickness <= 5ms': 'quickness' is not a metric"),
        ("--inferbench-slo=ttft_p99 >= 5ms", "this would pass a slow server; write ttft_p99 <= 5ms"),
        ("--inferbench-endpoint=ftp://host", "--inferbench-endpoint: 'ftp://host' is not the address of a server"),
    ],
)
def test_an_option_that_makes_no_sense_says_so(pytester: pytest.Pytester, argument: str, words: str) -> None:
    assert words in complaint(pytester, argument)


def test_an_endpoint_with_a_password_is_refused_without_repeating_it(pytester: pytest.Pytester) -> None:
    words = complaint(pytester, "--inferbench-endpoint=http://me:hunter2@host")
    assert "keys belong into the environment variable" in words
    assert "hunter2" not in words


def test_a_tokenizer_that_is_not_there_says_what_would_do(pytester: pytest.Pytester) -> None:
    assert complaint(pytester, URL, "--inferbench-tokenizer=nothing.json") == (
        f"--inferbench-tokenizer: there is no tokenizer at {pytester.path / 'nothing.json'}; "
        "give a tokenizer.json, a folder that holds one, or a GGUF file"
    )


def test_a_key_that_is_not_set_says_so(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    words = "--inferbench-api-key-env: the environment variable NO_SUCH_KEY is not set"
    assert complaint(pytester, URL, "--inferbench-api-key-env=NO_SUCH_KEY") == words


def test_wrong_usage_ends_pytest_with_the_text_alone(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("-p", "no:asyncio", "--inferbench-seed=-1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.stderr.lines[0] == "ERROR: --inferbench-seed must be 0 or more, not -1"
    assert "Traceback" not in result.stderr.str()


def test_help_describes_each_flag_with_its_unit_or_default(pytester: pytest.Pytester) -> None:
    text = " ".join(pytester.runpytest("-p", "no:asyncio", "--help").stdout.str().split())
    assert "LLM-serving benchmarks:" in text
    for flag in FLAGS:
        assert f" {flag}" in text
    assert "in seconds (default: 3600)" in text
    assert "(default: reports/runs/<run id>)" in text


def test_again_asks_for_the_same_but_for_the_folder(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-1")
    (pytester.path / "tokenizer.json").write_text("{}", encoding="utf-8")
    given = [
        "--inferbench-endpoint=127.0.0.1:8000",
        "--inferbench-endpoint-model=m",
        "--inferbench-api-key-env=MY_KEY",
        f"--inferbench-tokenizer={pytester.path}",
        "--inferbench-seed=0",
        "--inferbench-workers=2",
        "--inferbench-slo=ttft_p99 <= 1s",
    ]
    assert again_flags(options(pytester, *given, "--inferbench-output=out")) == given
    assert again_flags(options(pytester)) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((URL, "--inferbench-keep-servers"), "--inferbench-endpoint and --inferbench-keep-servers contradict each other"),
        ((URL, "--inferbench-reuse-servers"), "--inferbench-endpoint and --inferbench-reuse-servers contradict each other"),
        (("--inferbench-inventory=8xh999",), "--inferbench-inventory: "),
        (("--inferbench-resume=20010101-000000-0000",), "--inferbench-resume: there is no run 20010101-000000-0000; looked in "),
    ],
)
def test_options_about_servers_and_runs_that_make_no_sense_are_named(
    pytester: pytest.Pytester, given: tuple[str, ...], words: str
) -> None:
    assert words in complaint(pytester, *given)


def test_a_dry_run_is_one_process(pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    assert "add -n 0" in complaint(pytester, "--inferbench-dry-run", "-n", "2")
    assert options(pytester, "--inferbench-dry-run", "-n", "0").dry_run


def test_a_run_to_go_on_with_is_named_by_its_id_or_its_folder(pytester: pytest.Pytester) -> None:
    run = pytester.path / "reports" / "runs" / "r1"
    run.mkdir(parents=True)
    (run / "run.json").write_text('{"run_id": "r1"}', encoding="utf-8")
    for name in ("r1", str(run)):
        assert options(pytester, f"--inferbench-resume={name}").resume == run
    for other in ("--inferbench-output=out", "--inferbench-dry-run"):
        assert "contradict each other" in complaint(pytester, "--inferbench-resume=r1", other)


def test_planning_options_stand_in_the_command_that_runs_a_case_again(pytester: pytest.Pytester) -> None:
    given = options(pytester, "--inferbench-inventory=8xh100", "--inferbench-exclusive")
    assert again_flags(given) == ["--inferbench-inventory=8xh100", "--inferbench-exclusive"]


def test_a_simulation_is_asked_for_with_its_faults_and_time_scale(pytester: pytest.Pytester) -> None:
    faults = ["--inferbench-fault=never-ready", "--inferbench-fault=crash-after-requests=1"]
    given = ["--inferbench-simulate", "--inferbench-time-scale=0.1", *faults]
    found = options(pytester, *given)
    assert (found.simulate, found.time_scale, found.faults) == (True, 0.1, ("never-ready", "crash-after-requests=1"))
    assert set(given) <= set(again_flags(found))


@pytest.mark.parametrize("flag", ["--inferbench-time-scale=0.5", "--inferbench-fault=never-ready"])
def test_what_is_of_simulated_servers_needs_them(pytester: pytest.Pytester, flag: str) -> None:
    assert complaint(pytester, flag) == f"{flag.partition('=')[0]} is of simulated servers; add --inferbench-simulate"


@pytest.mark.parametrize("scale", ["-1", "inf", "nan"])
def test_a_time_scale_is_a_number_from_0(pytester: pytest.Pytester, scale: str) -> None:
    assert "must be 0 or more" in complaint(pytester, "--inferbench-simulate", f"--inferbench-time-scale={scale}")


def test_a_server_that_is_there_is_not_simulated(pytester: pytest.Pytester) -> None:
    assert "contradict each other" in complaint(pytester, "--inferbench-simulate", URL)


def test_a_format_that_nobody_knows_is_wrong_usage(pytester: pytest.Pytester) -> None:
    assert complaint(pytester, "--inferbench-export=vlm").startswith("--inferbench-export: ")
    assert options(pytester, "--inferbench-export=vllm,genai-bench").export == "vllm,genai-bench"


def test_a_fault_that_nobody_knows_is_wrong_usage(pytester: pytest.Pytester) -> None:
    assert "never-ready" in complaint(pytester, "--inferbench-simulate", "--inferbench-fault=never-redy")
