from collections.abc import Mapping
from typing import Any

import pytest

from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch import docker_pull
from pytest_inferbench.launch.docker_engine import EngineUnreachable
from pytest_inferbench.launch.docker_fake import FakeEngine, refusal
from pytest_inferbench.launch.docker_pull import PullProgress, present_image

EVENTS: tuple[dict[str, Any], ...] = (
    {"status": "Pulling from library/tiny", "id": "1"},
    {"status": "Pulling fs layer", "progressDetail": {}, "id": "aa"},
    {"status": "Pulling fs layer", "progressDetail": {}, "id": "bb"},
    {"status": "Already exists", "progressDetail": {}, "id": "cc"},
    {"status": "Downloading", "progressDetail": {"current": 1_500_000_000, "total": 4_000_000_000}, "id": "aa"},
)


def sentence(*events: Mapping[str, Any]) -> str:
    progress = PullProgress("tiny:1")
    for event in events:
        progress.feed(event)
    return progress.sentence()


def test_what_is_fetched_is_added_up() -> None:
    assert sentence(*EVENTS) == "fetching the image tiny:1: 1 of 3 layers are in place, 1.50 of at least 4.00 GB"


def test_sizes_that_are_all_known_are_the_whole() -> None:
    small = {"status": "Downloading", "progressDetail": {"current": 0, "total": 500_000_000}, "id": "bb"}
    assert sentence(*EVENTS, small) == "fetching the image tiny:1: 1 of 3 layers are in place, 1.50 of 4.50 GB"


def test_a_layer_that_is_complete_counts_whole() -> None:
    done = ({"status": "Download complete", "id": "aa"}, {"status": "Pull complete", "id": "bb"})
    assert sentence(*EVENTS, *done) == "fetching the image tiny:1: 2 of 3 layers are in place, 4.00 of 4.00 GB"


def test_before_anything_is_known_layers_alone_are_counted() -> None:
    assert sentence() == "fetching the image tiny:1: 0 of 0 layers are in place"
    assert sentence({"status": "Status: Image is up to date"}, {"status": "Downloading", "id": "a"}).endswith(
        "0 of 1 layers are in place"
    )


def test_an_image_that_is_here_is_not_fetched() -> None:
    engine, said = FakeEngine(), list[str]()
    assert present_image(engine, "tiny:1", progress=said.append).digest == "tiny@sha256:1"
    assert (engine.calls, said) == (["image"], [])


def test_an_image_that_is_not_here_is_fetched_with_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_pull, "_PROGRESS_EVERY_S", 0.0)
    engine, said = FakeEngine(images=(), pull_events=EVENTS), list[str]()
    assert present_image(engine, "tiny:1", progress=said.append).digest == "tiny@sha256:2"
    assert said[0] == "the image tiny:1 is not on this machine; fetching it"
    assert said[-1] == sentence(*EVENTS)


def test_an_image_that_cannot_be_had_is_an_error_with_advice() -> None:
    engine = FakeEngine(images=())
    engine.refusals["pull"] = refusal("pull access denied for tiny")
    with pytest.raises(EngineError) as error:
        present_image(engine, "tiny:1", progress=lambda _: None)
    assert str(error.value) == (
        "Fake 1.0 could not do it: pull access denied for tiny; is its name right, may this user have it (docker login), "
        "and can its registry be reached from here?"
    )


def test_an_engine_that_goes_away_while_fetching_is_not_the_registrys_fault() -> None:
    engine = FakeEngine(images=())
    engine.refusals["pull"] = EngineUnreachable("the container engine went away")
    with pytest.raises(EngineUnreachable, match=r"^the container engine went away$"):
        present_image(engine, "tiny:1", progress=lambda _: None)
