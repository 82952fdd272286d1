"""TLS between memory buffers, and over the wire: what is trusted works, what is not fails in words."""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from pytest_inferbench.errors import LoadError
from pytest_inferbench.load.tls import TlsChannel, client_context, failure_words
from pytest_inferbench.load.trace import Outcome
from tests.load.answers import events, streamed
from tests.load.playing import playing
from tests.load.secure import Authority, secured
from tests.scripted import Answer, Scripted

ANSWER = b"".join(streamed(events(["one", "two"])))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def failure(port: int, context: ssl.SSLContext, host: str = "127.0.0.1") -> str:
    with playing(port, tls=context, host=host) as player:
        player.exchange(0)
        traces = player.traces()
    assert traces.outcome.tolist() == [Outcome.FAILED]
    return traces.errors[0]


def test_what_one_side_encrypts_the_other_reads_in_any_pieces(authority: Authority) -> None:
    client = TlsChannel(client_context(str(authority.file)), "localhost")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = authority.context("localhost").wrap_bio(incoming, outgoing, server_side=True)
    to_server = client.handshake()
    while not client.ready:
        incoming.write(to_server)
        with suppress(ssl.SSLWantReadError):
            server.do_handshake()
        to_server = client.handshake(outgoing.read())
    incoming.write(to_server)
    server.do_handshake()
    assert client.ready
    incoming.write(client.encrypt(b"question"))
    assert server.read() == b"question"
    server.write(b"answer" * 5000)
    sealed = outgoing.read()
    parts = [client.decrypt(sealed[at : at + 1000]) for at in range(0, len(sealed), 1000)]
    assert b"".join(parts) == b"answer" * 5000
    assert parts[0] == b""


def test_damaged_ciphertext_is_an_error(authority: Authority) -> None:
    client = TlsChannel(client_context(str(authority.file)), "localhost")
    client.handshake()
    with pytest.raises(ssl.SSLError):
        client.handshake(b"rubbish that is no TLS")


def test_requests_over_tls_are_answered_and_their_connection_is_kept(authority: Authority) -> None:
    context = client_context(str(authority.file))
    with secured(authority.context("127.0.0.1"), ANSWER) as port, playing(port, tls=context) as player:
        player.exchange(0, 1, 2)
        traces = player.traces()
        assert len(player.wire._by_fd) == 1
    assert dict(traces.errors) == {}
    assert traces.output_tokens.tolist() == [2, 2, 2]
    assert (traces.send_ns < traces.first_byte_ns).all()


def test_an_unknown_authority_is_said_with_what_to_do(authority: Authority) -> None:
    with secured(authority.context("127.0.0.1"), ANSWER) as port:
        error = failure(port, client_context(None))
    assert error.startswith("TLS failed: the server's certificate is not trusted (")
    assert error.endswith("); give its authority's certificate as ca_file")


def test_a_certificate_of_another_name_is_not_trusted(authority: Authority) -> None:
    with secured(authority.context("elsewhere.example"), ANSWER) as port:
        error = failure(port, client_context(str(authority.file)), "here.example")
    assert "not valid for 'here.example'" in error


def test_a_server_without_tls_is_said(authority: Authority) -> None:
    with Scripted([Answer(head=b"HTTP/1.1 400 Bad\r\n\r\n", then="close", reads_request=False)]) as server:
        error = failure(server.port, client_context(str(authority.file)))
    assert error == "TLS failed: the server does not speak TLS; is its URL to begin with http:// ?"


def test_a_connection_that_ends_in_the_handshake_was_no_answer(authority: Authority) -> None:
    with Scripted([Answer(then="close", reads_request=False)]) as server:
        error = failure(server.port, client_context(str(authority.file)))
    assert error in {"connection closed before any answer", "Connection reset by peer before any answer"}


def test_a_server_that_never_shakes_hands_runs_into_the_connect_limit(authority: Authority) -> None:
    context = client_context(str(authority.file))
    silent = Answer(then="hang", reads_request=False)
    with Scripted([silent]) as server, playing(server.port, tls=context, connect=0.05) as player:
        player.exchange(0)
        assert dict(player.traces().errors) == {0: "no connection within 0.05 s (connect limit)"}


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_a_file_without_certificates_is_an_error(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "ca.pem"
    if text is not None:
        file.write_text(text)
    with pytest.raises(LoadError, match=r"ca\.pem is not a file of certificates that can be read \(PEM\): "):
        client_context(str(file))


def test_other_failures_are_in_the_librarys_words() -> None:
    error = ssl.SSLError(1, "[SSL: TLSV1_ALERT_ACCESS_DENIED] tlsv1 alert access denied")
    error.reason = "TLSV1_ALERT_ACCESS_DENIED"
    assert failure_words(error) == "tlsv1 alert access denied"
