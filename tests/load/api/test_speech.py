"""Speech: what is asked for, and sound, errors and silence as answers."""

from __future__ import annotations

from pytest_inferbench.cases.case import ApiOptions
from pytest_inferbench.load.api import api_named
from pytest_inferbench.load.content import said
from pytest_inferbench.load.exchange import Exchange, has_token, read_exchange
from pytest_inferbench.load.recording import Ending
from pytest_inferbench.load.trace import MISSING, Outcome
from tests.load.answers import MS, chunk, head, plain, recording

SPEECH = api_named("speech")
WAV = (("Content-Type", "audio/wav"), ("Transfer-Encoding", "chunked"))
SOUND = [head(headers=WAV), chunk(b"RIFF" + bytes(range(256))), chunk(b"\x00" * 64), chunk(b"")]


def exchange(pieces: list[bytes], *, stream: bool = True, ending: Ending = Ending.COMPLETE) -> Exchange:
    return read_exchange(recording(pieces, ending=ending), api_named("speech", ApiOptions(stream=stream)))


def json_answer(body: bytes, status: int = 200) -> list[bytes]:
    return [plain(body, status, "OK", [("Content-Type", "application/json")])]


def test_a_request_has_the_text_a_voice_and_a_format_which_may_be_changed() -> None:
    usual = {"model": "m", "input": "one two", "voice": "alloy", "response_format": "wav"}
    assert SPEECH.body(said("one two"), model="m", output_tokens=0, extra={}) == usual
    changed = SPEECH.body(said("one two"), model="m", output_tokens=0, extra={"voice": "af_sky", "response_format": None})
    assert changed == {"model": "m", "input": "one two", "voice": "af_sky"}
    assert SPEECH.path == "/v1/audio/speech"


def test_bytes_of_sound_are_events_without_tokens() -> None:
    spoken = exchange(SOUND)
    assert (spoken.outcome, spoken.error) == (Outcome.COMPLETED, "")
    # The head came after 1 ms and is no sound yet.
    assert (list(spoken.event_ns), list(spoken.event_tokens), spoken.first_byte_ns) == ([2 * MS, 3 * MS], [0, 0], 1 * MS)
    assert (spoken.output_tokens, spoken.prompt_tokens, spoken.counted_by_server) == (0, MISSING, True)


def test_sound_that_is_asked_for_as_a_whole_has_an_end_only() -> None:
    spoken = exchange(SOUND, stream=False)
    assert (spoken.outcome, list(spoken.event_ns), spoken.output_tokens) == (Outcome.COMPLETED, [], 0)


def test_sound_that_breaks_off_is_a_failure() -> None:
    cut = exchange(SOUND[:2], ending=Ending.CLOSED)
    assert (cut.outcome, cut.error) == (Outcome.FAILED, "connection closed after 1 content events")


def test_json_in_place_of_sound_is_a_failure_in_the_servers_words() -> None:
    assert exchange(json_answer(b'{"error": {"message": "no such voice"}}')).error == "error in the stream: no such voice"
    assert exchange(json_answer(b'{"task": 7}')).error == "error in the stream: JSON where sound was asked for: {'task': 7}"
    refused = exchange(json_answer(b'{"error": {"message": "no such voice"}}', 400), stream=False)
    assert refused.error == "HTTP 400 Bad Request: no such voice"
    whole = exchange(json_answer(b'{"error": "busy"}'), stream=False)
    assert whole.error == "error in the answer: busy"


def test_silence_is_a_failure() -> None:
    silent = exchange([plain(b"", headers=[("Content-Type", "audio/wav")])])
    assert silent.error == "answered audio/wav where bytes was asked for: "


def test_a_late_answer_has_begun_with_its_first_byte_of_sound() -> None:
    assert not has_token(recording(SOUND[:1]), SPEECH)
    assert has_token(recording(SOUND[:2]), SPEECH)
