from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.launch.answer import NoAnswer
from pytest_inferbench.launch.headers import PLAIN_ACCESS, Access, filled_headers
from pytest_inferbench.launch.port import free_port
from pytest_inferbench.launch.probe import ask, text_field
from pytest_inferbench.redaction import Secret

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"


def test_a_whole_answer_comes_back(scripted: Any) -> None:
    server = scripted({"/x": OK + b"Retry-After: 3\r\nContent-Length: 7\r\n\r\n" + b'{"a":1}'})
    answer = ask(f"{server.url}/x", timeout_s=60)
    assert (answer.status, answer.content_type, answer.body, answer.retry_after) == (200, "application/json", b'{"a":1}', "3")
    assert answer.json() == {"a": 1}


def test_a_body_is_posted_with_the_key(scripted: Any) -> None:
    server = scripted({"/x": OK + b"Content-Length: 2\r\n\r\n{}"})
    ask(f"{server.url}/x", timeout_s=60, body={"q": "ü"}, key=Secret("s3cret"))
    _, headers, _ = server.requests[0]
    assert headers["authorization"] == "Bearer s3cret"
    assert server.sent("/x") == {"q": "ü"}


def test_a_proxy_of_the_environment_is_not_asked(scripted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    server = scripted({"/x": OK + b"Content-Length: 2\r\n\r\n{}"})
    assert ask(f"{server.url}/x", timeout_s=60).status == 200


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"", "does not speak HTTP or broke off in the middle: Server disconnected without sending a response."),
        (OK + b"Content-Length: 100\r\n\r\n{", "does not speak HTTP or broke off in the middle: peer closed connection"),
        (OK[:20], "does not speak HTTP or broke off in the middle: "),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "does not speak HTTP or broke off in the middle: illegal status line"),
        (None, "accepted the connection, but gave no whole answer within 0.3 s"),
    ],
)
def test_half_an_answer_and_none_are_told_apart(scripted: Any, answer: bytes | None, sentence: str) -> None:
    server = scripted({"/x": answer})
    with pytest.raises(NoAnswer) as error:
        ask(f"{server.url}/x", timeout_s=0.3 if answer is None else 60)
    assert str(error.value).startswith(f"{server.url}/x {sentence}")


def test_nobody_there_is_said() -> None:
    url = f"http://127.0.0.1:{free_port()}/x"
    with pytest.raises(NoAnswer) as error:
        ask(url, timeout_s=60)
    assert str(error.value) == f"{url} could not be reached: [Errno 111] Connection refused"


def test_tls_to_a_server_without_it_is_said(scripted: Any) -> None:
    url = scripted({}).url.replace("http:", "https:")
    with pytest.raises(NoAnswer, match=r"could not be reached: \[SSL: "):
        ask(f"{url}/x", timeout_s=60)


def test_one_field_is_read_where_it_is_there(scripted: Any) -> None:
    server = scripted(
        {
            "/version": OK + b"Content-Length: 18\r\n\r\n" + b'{"version":"0.32"}',
            "/number": OK + b"Content-Length: 13\r\n\r\n" + b'{"version":1}',
            "/text": OK + b"Content-Length: 1\r\n\r\nx",
            "/gone": b"",
        },
    )
    assert text_field(f"{server.url}/version", "version") == "0.32"
    assert [text_field(f"{server.url}/{path}", "version") for path in ("number", "text", "gone", "404")] == [None] * 4


def test_headers_go_along_and_what_they_hold_is_hidden(scripted: Any) -> None:
    said = b'"you sent open-sesame"'
    server = scripted({"/x": OK + b"Content-Length: %d\r\n\r\n%s" % (len(said), said)})
    headers = filled_headers([("authorization", "Basic ${GATE}"), ("X-Team", "speed")], environ={"GATE": "open-sesame"})
    answer = ask(f"{server.url}/x", timeout_s=60, key=Secret("s3cret"), access=Access(headers=headers))
    _, sent, _ = server.requests[0]
    assert (sent["authorization"], sent["x-team"]) == ("Basic open-sesame", "speed"), "a header of one's own replaces the key's"
    assert answer.body == b'"you sent REDACTED"'


def test_certificates_that_are_not_there_are_named(tmp_path: Path) -> None:
    access = Access(headers=PLAIN_ACCESS.headers, ca_file=str(tmp_path / "house.pem"))
    with pytest.raises(NoAnswer, match=r"the certificates in .*house\.pem cannot be read: No such file or directory"):
        ask("https://127.0.0.1:9/x", timeout_s=60, access=access)
    (tmp_path / "house.pem").write_text("no certificate")
    with pytest.raises(NoAnswer, match=r"the certificates in .*house\.pem cannot be read: "):
        ask("https://127.0.0.1:9/x", timeout_s=60, access=access)
