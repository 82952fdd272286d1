import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.metrics.telemetry import journal
from pytest_inferbench.metrics.telemetry.gpu_source import GpuSample
from pytest_inferbench.metrics.telemetry.journal import Readings
from pytest_inferbench.metrics.telemetry.scrape import Scrape

SAMPLES = (GpuSample(timestamp_ns=5, gpu=0, power_w=99.5, throttle_reasons=""), GpuSample(timestamp_ns=6, gpu=1))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_text(journal.gpu_lines(SAMPLES) + journal.scrape_line(Scrape(7, "ü 1\n")) + journal.trouble_line("no\nluck"))
    assert journal.read(path) == Readings(gpus=SAMPLES, scrapes=(Scrape(7, "ü 1\n"),), troubles=("no\nluck",))


def test_nothing_written_is_nothing_read(tmp_path: Path) -> None:
    assert journal.read(tmp_path / "none") == Readings()


WHOLE = journal.gpu_lines(SAMPLES) + journal.scrape_line(Scrape(7, "a 1\n")) + journal.trouble_line("x")


@given(cut=st.integers(0, len(WHOLE)))
def test_a_journal_that_was_cut_off_holds_what_is_whole(cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "j"
        path.write_text(WHOLE[:cut])
        found = journal.read(path)
    assert len(found.gpus) + len(found.scrapes) + len(found.troubles) == WHOLE[:cut].count("\n")
    assert found.gpus == SAMPLES[: len(found.gpus)]


def test_a_servers_text_is_packed() -> None:
    text = "".join(f'vllm:time_to_first_token_seconds_bucket{{le="{each}"}} 0.0\n' for each in range(1000))
    assert len(journal.scrape_line(Scrape(1, text))) < len(text) / 5
