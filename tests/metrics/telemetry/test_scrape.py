from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_inferbench.launch.answer import Answer
from pytest_inferbench.launch.port import free_port
from pytest_inferbench.load.clock import monotonic_ns
from pytest_inferbench.metrics.telemetry import scrape as module
from pytest_inferbench.metrics.telemetry.scrape import NotScraped, Source, scrape
from pytest_inferbench.redaction import Secret
from tests.launch.conftest import ScriptedServer
from tests.load.secure import Authority, secured
from tests.metrics.telemetry.conftest import http

Serving = Callable[[bytes | None], ScriptedServer]


def asked(server: ScriptedServer, *, limit_s: float = 5, key: str | None = None) -> str:
    source = Source(url=f"{server.url}/metrics", key=Secret(key) if key else None)
    return scrape(source, limit_s=limit_s).text


def refusal(server: ScriptedServer, *, limit_s: float = 5) -> NotScraped:
    with pytest.raises(NotScraped) as caught:
        asked(server, limit_s=limit_s)
    return caught.value


def test_the_text_is_kept_as_it_came_with_the_time_of_the_requests_clock(serving: Serving) -> None:
    server = serving(http("a 1\nü 2\n".encode()))
    before_ns = monotonic_ns()
    found = scrape(Source(url=f"{server.url}/metrics"), limit_s=5)
    assert before_ns <= found.timestamp_ns <= monotonic_ns()
    assert found.text == "a 1\nü 2\n"


def test_a_good_answer_is_not_read_while_load_runs(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    # Making words of fifty kilobytes takes longer than all the rest.
    monkeypatch.setattr(Answer, "words", lambda _: pytest.fail("must not be read"))
    assert asked(serving(http(b"a 1\n"))) == "a 1\n"


def test_an_answer_without_a_length_goes_on_to_its_end(serving: Serving) -> None:
    assert asked(serving(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\na 1\n")) == "a 1\n"


def test_an_answer_in_chunks_is_put_together(serving: Serving) -> None:
    server = serving(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na \r\n2\r\n1\n\r\n0\r\n\r\n")
    assert asked(server) == "a 1\n"


def test_the_key_goes_along_and_is_not_in_what_is_kept(serving: Serving) -> None:
    server = serving(http(b'a{key="s3cret-key"} 1\n'))
    assert asked(server, key="s3cret-key") == 'a{key="REDACTED"} 1\n'
    assert server.requests[0][1]["authorization"] == "Bearer s3cret-key"


@pytest.mark.parametrize(
    ("answer", "words", "for_good"),
    [
        (http(b"", status="404 Not Found"), "it answered 404 Not Found", True),
        (http(b'{"detail": "no key"}', status="401 Unauthorized"), 'it answered 401 Unauthorized: "no key"', True),
        (http(b"", status="307 Temporary Redirect"), "it answered 307 Temporary Redirect", True),
        (http(b"busy", status="503 Service Unavailable"), 'it answered 503 Service Unavailable: "busy"', False),
        (http(b"<!doctype html><p>hello", kind="text/html"), "it answered with a web page", True),
        (http(b'[{"iter": 1}]'), 'it answered with JSON, not with Prometheus\' text: "[{"iter": 1}]"', True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\na 1\n", "its answer broke off in the middle", False),
        (b"SSH-2.0-OpenSSH\r\n", "it gave no answer: SSH-2.0-OpenSSH", False),
        (b"", "it gave no answer: Remote end closed connection without response", False),
    ],
)
def test_what_cannot_be_metrics_is_said_in_the_servers_words(serving: Serving, answer: bytes, words: str, for_good: bool) -> None:
    trouble = refusal(serving(answer))
    assert (str(trouble), trouble.for_good) == (words, for_good)


def test_a_server_that_says_nothing_is_left_after_the_limit(serving: Serving) -> None:
    trouble = refusal(serving(None), limit_s=0.1)
    assert (str(trouble), trouble.for_good) == ("it gave no whole answer within 0.1 s", False)


def test_an_answer_without_end_is_given_up(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BODY_BYTES_MAX", 2_000_000)
    trouble = refusal(serving(http(b"a 1\n" * 1_000_000)))
    assert (str(trouble), trouble.for_good) == ("its answer is longer than 2 MB", True)


def test_nobody_there_may_be_there_later() -> None:
    with pytest.raises(NotScraped, match=r"it gave no answer: .*Connection refused") as caught:
        scrape(Source(url=f"http://127.0.0.1:{free_port()}/metrics"), limit_s=5)
    assert not caught.value.for_good


def test_a_server_behind_tls_is_trusted_by_its_own_certificate_alone(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with secured(authority.context("127.0.0.1"), http(b"a 1\n")) as port:
        url = f"https://127.0.0.1:{port}/metrics"
        assert scrape(Source(url=url, ca_file=str(authority.file)), limit_s=10).text == "a 1\n"
        with pytest.raises(NotScraped, match="CERTIFICATE_VERIFY_FAILED"):
            scrape(Source(url=url), limit_s=10)
