import json
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any

import pytest

from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch.docker_engine import EngineUnreachable, Made, NotThere

pytest.importorskip("docker", reason="the Docker SDK is not installed: pip install 'pytest-inferbench[docker]'")

from pytest_inferbench.launch.docker_sdk import SdkEngine, unreachable_sentence

_VERSION_PREFIX = re.compile(r"^/v1\.\d+")
VERSION = {"Version": "28.0.1", "ApiVersion": "1.44", "Components": [{"Name": "Engine"}]}


class Daemon(ThreadingMixIn, UnixStreamServer):
    """An engine that answers each method and path with what it was given: a status, and JSON or bytes."""

    daemon_threads = True
    script: dict[str, tuple[int, Any]]
    asked: list[tuple[str, Any]]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Daemon

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def _answer(self, method: str) -> None:
        asked = f"{method} {_VERSION_PREFIX.sub('', self.path.partition('?')[0])}"
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((asked, json.loads(body) if body else None))
        status, answer = self.server.script.get(asked, (404, {"message": "no such thing"}))
        self.send_response(status)
        self.send_header("Connection", "close")
        if isinstance(answer, bytes) and answer:
            self.send_header("Transfer-Encoding", "chunked")
            data = b"%x\r\n%b\r\n0\r\n\r\n" % (len(answer), answer)
        else:
            data = answer or b"" if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    path = tmp_path / "d.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with Daemon(str(path), Handler) as server:
        server.script, server.asked = {"GET /version": (200, VERSION)}, []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def engine(daemon: Daemon) -> Iterator[Callable[[Mapping[str, tuple[int, Any]]], SdkEngine]]:
    """Connects to an engine with these answers."""
    engines: list[SdkEngine] = []

    def connected(script: Mapping[str, tuple[int, Any]]) -> SdkEngine:
        daemon.script |= script
        engines.append(SdkEngine())
        return engines[-1]

    yield connected
    for one in engines:
        one.close()


@pytest.mark.parametrize(
    ("version", "name"),
    [
        (VERSION, "Docker 28.0.1"),
        ({**VERSION, "Version": "4.3.1", "Components": [{"Name": "Podman Engine"}]}, "Podman 4.3.1"),
        ({"ApiVersion": "1.44"}, "Docker of an unknown version"),
    ],
)
def test_an_engine_says_what_it_is(engine: Any, version: Any, name: str) -> None:
    assert engine({"GET /version": (200, version)}).name == name


def test_an_image_is_found_with_its_digest(engine: Any) -> None:
    answer = {"Id": "sha256:1", "RepoDigests": ["other@sha256:3", "tiny@sha256:2"]}
    image = engine({"GET /images/tiny:1/json": (200, answer)}).image("tiny:1")
    assert (image.id, image.digest) == ("sha256:1", "tiny@sha256:2")


def test_what_is_not_there_is_said_in_the_engines_words(engine: Any) -> None:
    with pytest.raises(NotThere, match=r"^Docker 28.0.1 could not find the image tiny:1: no such thing$"):
        engine({}).image("tiny:1")
    with pytest.raises(NotThere, match=r"^Docker 28.0.1 could not find the container one: no such thing$"):
        engine({}).inspect("one")


def test_the_registrys_words_are_an_error(engine: Any) -> None:
    events = b'{"status": "Pulling from tiny"}\n{"errorDetail": {}, "error": "toomanyrequests: slow down"}\n'
    pulling = engine({"POST /images/create": (200, events)}).pull("tiny:1")
    assert next(pulling) == {"status": "Pulling from tiny"}
    with pytest.raises(EngineError, match=r"^Docker 28.0.1 could not pull the image tiny:1: toomanyrequests: slow down$"):
        next(pulling)


def test_a_refusal_to_pull_is_an_error(engine: Any) -> None:
    refused = {"POST /images/create": (500, {"message": "dial tcp: connection refused"})}
    with pytest.raises(EngineError, match="could not pull the image tiny:1: dial tcp: connection refused"):
        list(engine(refused).pull("tiny:1"))


def test_a_container_is_created_from_what_is_given(engine: Any, daemon: Daemon) -> None:
    made = engine({"POST /containers/create": (201, {"Id": "c1", "Warnings": ["no swap\nlimit"]})}).create_container(
        "one", {"Image": "tiny:1"}
    )
    assert (made.id, made.warnings) == ("c1", ("no swap limit",))
    assert ("POST /containers/create", {"Image": "tiny:1"}) in daemon.asked


@pytest.mark.parametrize("warnings", [None, []])
def test_no_warnings_are_none(engine: Any, warnings: Any) -> None:
    assert (
        engine({"POST /containers/create": (201, {"Id": "c1", "Warnings": warnings})}).create_container("one", {}).warnings == ()
    )


def test_secrets_in_the_engines_words_are_hidden(engine: Any) -> None:
    answer = (500, {"message": "bad flag --api-key=correct-horse"})
    with pytest.raises(EngineError, match=r"could not start the container one: bad flag --api-key=REDACTED$"):
        engine({"POST /containers/one/start": answer}).start_container("one")


@pytest.mark.parametrize(
    ("answer", "there"),
    [
        ((204, b""), True),
        ((404, {"message": "No such container"}), False),
        ((409, {"message": "removal of container one is already in progress"}), True),
    ],
)
def test_removing_a_container_says_whether_it_was_there(engine: Any, answer: Any, there: bool) -> None:
    assert engine({"DELETE /containers/one": answer}).remove_container("one") is there


def test_a_container_that_cannot_be_removed_is_an_error(engine: Any) -> None:
    with pytest.raises(EngineError, match="could not remove the container one: device or resource busy"):
        engine({"DELETE /containers/one": (500, {"message": "device or resource busy"})}).remove_container("one")


@pytest.mark.parametrize(
    ("answer", "gone"),
    [
        ((204, b""), True),
        ((404, {"message": "network not found"}), False),
        ((403, {"message": "network has active endpoints"}), False),
        ((500, {"message": '"net" has associated containers with it: network is being used'}), False),
    ],
)
def test_a_network_in_use_stays(engine: Any, answer: Any, gone: bool) -> None:
    assert engine({"DELETE /networks/net": answer}).remove_network("net") is gone


def test_a_network_that_cannot_be_removed_is_an_error(engine: Any) -> None:
    with pytest.raises(EngineError, match="could not remove the network net: iptables"):
        engine({"DELETE /networks/net": (500, {"message": "iptables failed"})}).remove_network("net")


@pytest.mark.parametrize(("there", "created"), [([], 1), ([{"Name": "net-2"}], 1), ([{"Name": "net"}], 0)])
def test_a_network_is_created_once(engine: Any, daemon: Daemon, there: Any, created: int) -> None:
    engine({"GET /networks": (200, there), "POST /networks/create": (201, {"Id": "1"})}).create_network("net", {"a": "b"})
    sent = [body for asked, body in daemon.asked if asked == "POST /networks/create"]
    assert len(sent) == created
    assert all(body["Labels"] == {"a": "b"} for body in sent)


def test_what_is_ours_is_listed(engine: Any) -> None:
    containers = [{"Id": "c1", "Names": ["/one"], "Labels": {"a": "b"}, "State": "running"}, {"Id": "c2", "State": "created"}]
    ours = engine(
        {"GET /containers/json": (200, containers), "GET /networks": (200, [{"Id": "n1", "Name": "net", "Labels": None}])}
    ).list_ours()
    assert ours == (
        Made(kind="container", id="c1", name="one", labels={"a": "b"}, running=True),
        Made(kind="container", id="c2", name="c2", labels={}),
        Made(kind="network", id="n1", name="net", labels={}),
    )


def test_a_log_that_breaks_off_just_ends(engine: Any) -> None:
    stream = b"\x01\0\0\0\0\0\0\x06hello\n" + b"\x02\0\0"
    logs = engine(
        {"GET /containers/one/json": (200, {"Config": {"Tty": False}}), "GET /containers/one/logs": (200, stream)}
    ).logs("one")
    assert list(logs) == [b"hello\n"]
    logs.close()


def test_an_engine_that_is_not_there_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(EngineUnreachable) as error:
        SdkEngine()
    assert str(error.value) == (
        f"no container engine answers at unix://{tmp_path}/none.sock: No such file or directory; start it "
        "(sudo systemctl start docker), or name another in DOCKER_HOST"
    )


def test_an_engine_nearby_is_pointed_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "podman").mkdir()
    (tmp_path / "podman/podman.sock").touch()
    said = unreachable_sentence(FileNotFoundError(2, "No such file or directory"), host="unix:///var/run/docker.sock")
    assert said.endswith(f"or name another in DOCKER_HOST, such as DOCKER_HOST=unix://{tmp_path}/podman/podman.sock")


def test_a_socket_that_nobody_listens_on_is_no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "d.sock"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/d.sock")
    with pytest.raises(EngineUnreachable, match=r"^no container engine answers at unix://.*: Connection refused; start it"):
        SdkEngine()


def test_a_user_who_may_not_is_told_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "ada")
    said = unreachable_sentence(PermissionError(13, "Permission denied"), host="unix:///d.sock")
    assert said == (
        "this user may not use the container engine at unix:///d.sock: Permission denied; join the group of the socket "
        "(sudo usermod -aG docker ada, then log in again), or name an engine of your own in DOCKER_HOST"
    )


def test_a_user_without_name_is_told_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("uid not found: 1234")

    monkeypatch.setattr("getpass.getuser", nameless)
    assert "usermod -aG docker $USER" in unreachable_sentence(PermissionError(13, "Permission denied"), host="unix:///d")


def test_an_address_that_is_none_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "fd://nonsense")
    with pytest.raises(EngineUnreachable, match=r"^the container engine at fd://nonsense cannot be used: "):
        SdkEngine()


def test_an_engine_that_goes_away_is_said(engine: Any, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    one = engine({})

    def hang_up(handler: Handler) -> None:
        handler.connection.shutdown(socket.SHUT_RDWR)
        handler.close_connection = True

    monkeypatch.setattr(Handler, "do_GET", hang_up)
    with pytest.raises(EngineUnreachable, match=r" went away: .*; was it stopped or restarted\?$"):
        one.inspect("one")


def test_an_engine_that_hangs_is_said(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one = engine({})
    over = threading.Event()
    monkeypatch.setattr(Handler, "do_GET", lambda _: over.wait(30))
    one._client.api.timeout = 0.1
    with pytest.raises(
        EngineUnreachable, match=r"^Docker 28.0.1 did not find the container one within 60 s: it hangs, or is busy$"
    ):
        one.inspect("one")
    over.set()
