"""
What this machine can run, and what is missing: `inferbench doctor`.

Rule: a check looks and never changes anything, takes two seconds at most, and does not raise; they run side by side.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pytest_inferbench.devices import inventory
from pytest_inferbench.engines import llamacpp, models, registry
from pytest_inferbench.engines.recipe import Recipe
from pytest_inferbench.errors import EngineError
from pytest_inferbench.load.clock import SO_TIMESTAMPNS, STAMP_SPACE, ask_for_stamps

DEFAULT_MODEL = "smollm2-135m"
_LIMIT_S = 2.0
_STAMP_TRIES = 20
_CORES_MIN = 2
_MEMORY_GIB_MIN = 2.0
_ANSWER_BYTES_MAX = 1_000_000
_DOCKER_SOCKET = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """
    One finding.

    ``found`` is what there is, in words; ``mend`` the command (or advice) that gets what is missing, None where all is well.
    """

    name: str
    ok: bool
    found: str
    mend: str | None = None


def checkup() -> tuple[Check, ...]:
    """All findings, the most needed first, and at the end every engine that has a recipe; never raises."""
    engines = [(f"engine {name}", partial(_engine, found)) for name, found in _recipes().items()]
    checks = [*((check.__name__.strip("_").replace("_", " "), check) for check in _CHECKS), *engines]
    with ThreadPoolExecutor(max_workers=len(checks)) as pool:
        return tuple(pool.map(_safely, checks))


def _safely(named: tuple[str, Callable[[], Check]]) -> Check:
    name, check = named
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - a doctor that falls ill over one finding would hide all others
        return Check(name=name, ok=False, found=f"could not be looked at: {type(error).__name__}: {error}")


def _python() -> Check:
    ok = sys.version_info >= (3, 11)
    mend = None if ok else "install Python 3.11 or newer: https://www.python.org/downloads/"
    return Check(name="Python", ok=ok, found=f"{platform.python_version()} ({sys.executable})", mend=mend)


def _receive_stamps() -> Check:
    name = "kernel receive stamps"
    if _kernel_stamps():
        return Check(name=name, ok=True, found="work: times are those of the kernel")
    return Check(
        name=name,
        ok=False,
        found=f"not on this system ({platform.system()}): times are taken in user space, and are less exact",
        mend="measure from Linux",
    )


def _kernel_stamps() -> bool:
    """Sends itself bytes, and looks whether the kernel says when they came."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as sender:
        listener.settimeout(_LIMIT_S)
        receiver, _ = listener.accept()
        with receiver:
            receiver.settimeout(_LIMIT_S)
            return ask_for_stamps(receiver) and any(_is_stamped(sender, receiver) for _ in range(_STAMP_TRIES))


def _is_stamped(sender: socket.socket, receiver: socket.socket) -> bool:
    sender.sendall(b"x")
    _, control, _, _ = receiver.recvmsg(1, STAMP_SPACE)
    if any(level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS for level, kind, _ in control):
        return True
    # The first socket of a machine that asks makes the kernel switch stamping on, which it does a moment later.
    time.sleep(0.005)
    return False


def _cores() -> Check:
    count = inventory.cores()
    ok = count >= _CORES_MIN
    mend = None if ok else "give it a second core: on one, the server and what measures it take turns"
    return Check(name="cores", ok=ok, found=str(count), mend=mend)


def _memory() -> Check:
    gib = _available_memory_gib()
    if gib is None:
        return Check(name="memory", ok=True, found="unknown")
    ok = gib >= _MEMORY_GIB_MIN
    mend = None if ok else f"free some: the default model and the measurement want {_MEMORY_GIB_MIN:g} GiB"
    return Check(name="memory", ok=ok, found=f"{gib:.1f} GiB free", mend=mend)


def _available_memory_gib() -> float | None:
    path = Path("/proc/meminfo")
    if not path.exists():
        return None
    fields = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
    return int(fields["MemAvailable"].split()[0]) / 1024**2


def _llamacpp() -> Check:
    version = _version("xllamacpp")
    return _package_check("llama.cpp", f"xllamacpp {version}" if version else None, "xllamacpp", llamacpp.INSTALL)


def _default_model() -> Check:
    name = f"model {DEFAULT_MODEL}"
    try:
        file = models.gguf_file(DEFAULT_MODEL)
    except EngineError as error:
        found, _, mend = str(error).rpartition("; get it: ")
        return Check(name=name, ok=False, found=found or str(error), mend=mend or None)
    return Check(name=name, ok=True, found=str(file.path))


def _tokenizers() -> Check:
    # Installed with this project, but not everywhere there is a wheel; without it, prompts have estimated lengths.
    return _package_check("tokenizers", _version("tokenizers"), "tokenizers", "pip install tokenizers")


def _gguf() -> Check:
    return _package_check("GGUF tokenizers", _version("gguf"), "gguf", llamacpp.INSTALL)


def _xdist() -> Check:
    return _package_check("pytest-xdist", _version("pytest-xdist"), "pytest-xdist", "pip install 'pytest-inferbench[xdist]'")


def _gpus() -> Check:
    found = inventory.detect(limit_s=_LIMIT_S)
    if found.gpus:
        return Check(name="GPUs", ok=True, found=_gpus_in_words(found))
    return Check(
        name="GPUs",
        ok=False,
        found=found.trouble or "none: cases for GPUs are skipped",
        mend="run where nvidia-smi lists a GPU; cases for the cpu run without",
    )


def _gpus_in_words(found: inventory.Inventory) -> str:
    kinds = Counter((gpu.name, gpu.memory_total_bytes) for gpu in found.gpus)
    words = ", ".join(
        f"{count} x {name}" + (f" ({memory / 1024**3:.0f} GiB)" if memory else "") for (name, memory), count in kinds.items()
    )
    words += f", direct links: {len(found.links)}" if found.links else ""
    words += f", driver {found.driver}" if found.driver else ""
    reasons = dict(found.busy)
    busy = [f"{gpu.label}: {reasons[gpu.uuid]}" for gpu in found.gpus if gpu.uuid in reasons]
    words += f"; left alone: {', '.join(busy)}" if busy else ""
    return f"{words}; trouble: {found.trouble}" if found.trouble else words


def _recipes() -> dict[str, Recipe]:
    """The engines that are servers to start, by name; llama.cpp has a line of its own."""
    known = {name: registry.engine(name) for name in registry.names()}
    return {name: engine for name, engine in known.items() if isinstance(engine, Recipe)}


def _engine(recipe: Recipe) -> Check:
    """Whether an engine can be started here: as a process, else in a container."""
    name = f"engine {recipe.name}"
    try:
        return Check(name=name, ok=True, found=" ".join(recipe.found()))
    except EngineError as error:
        why, _, install = str(error).partition("; install it: ")
    place = _in_container(recipe)
    if place is not None:
        hint = f"; as a process: {install}" if install else ""
        return Check(name=name, ok=True, found=f"in a container, {place}{hint}")
    return Check(name=name, ok=False, found=why, mend=install or "install Docker, as above")


def _in_container(recipe: Recipe) -> str | None:
    """Which image a container would be of; None where there is no container engine."""
    host = os.environ.get("DOCKER_HOST") or _DOCKER_SOCKET
    try:
        _docker_version(host)
        if recipe.image is None:
            return "of an image that the suite names"
        status, _ = _docker_asked(host, f"/images/{recipe.image}/json")
    except (OSError, ValueError):
        return None
    return f"of {recipe.image}, " + ("which is here" if status == HTTPStatus.OK else "fetched when it is first used")


def _docker() -> Check:
    host = os.environ.get("DOCKER_HOST") or _DOCKER_SOCKET
    mend = "install Docker (Debian, Ubuntu: apt-get install docker.io) and start it"
    try:
        version = _docker_version(host)
    except PermissionError:
        found = f"{host} belongs to others"
        return Check(name="Docker engine", ok=False, found=found, mend="sudo usermod -aG docker $USER, then log in again")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return Check(name="Docker engine", ok=False, found=f"none at {host}: {reason}", mend=mend)
    return Check(name="Docker engine", ok=True, found=f"{version} at {host}{_gpus_of_docker(host)}")


def _gpus_of_docker(host: str) -> str:
    """Whether containers are known to get GPUs, where there are any of NVIDIA's."""
    if not any(gpu.vendor == "nvidia" for gpu in inventory.detect(limit_s=_LIMIT_S).gpus):
        return ""
    with suppress(OSError, ValueError):
        _, info = _docker_asked(host, "/info")
        if isinstance(info, dict) and "nvidia" in (info.get("Runtimes") or {}):
            return ", with NVIDIA's runtime"
    return "; NVIDIA's runtime is not among its own: if containers get no GPU, install nvidia-container-toolkit"


def _docker_version(host: str) -> str:
    """
    The version of the engine at ``host``, asked over its socket, since neither its command nor its library need be there.

    Raises:
        OSError: it cannot be reached.
        ValueError: what answers is no Docker engine, or can only be reached by its own command.
    """
    _, data = _docker_asked(host, "/version")
    if not isinstance(data, dict) or "Version" not in data:
        raise ValueError("it answers, but not as a Docker engine does")
    return str(data["Version"])


def _docker_asked(host: str, path: str) -> tuple[int, Any]:
    """
    The status and the JSON of an answer.

    Raises:
        OSError: it cannot be reached.
        ValueError: it does not speak HTTP with JSON, or can only be reached by its own command.
    """
    with _docker_connection(host) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
        with connection.makefile("rb") as reader:
            answer = reader.read(_ANSWER_BYTES_MAX)
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(None, 2)
    return int(words[1]) if len(words) > 1 else 0, json.loads(body)


def _docker_connection(host: str) -> socket.socket:
    parts = urlsplit(host)
    if parts.scheme == "unix":
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_LIMIT_S)
        try:
            connection.connect(parts.path)
        except OSError:
            connection.close()
            raise
        return connection
    if parts.scheme in {"tcp", "http"} and parts.hostname:
        return socket.create_connection((parts.hostname, parts.port or 2375), timeout=_LIMIT_S)
    raise ValueError("an address of this kind is not looked at")


def _chromium() -> Check:
    name = "Chromium for report tests"
    found = (
        shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome") or _playwrights_chromium()
    )
    if found is not None:
        return Check(name=name, ok=True, found=found)
    return Check(name=name, ok=False, found="none", mend="pip install playwright && playwright install chromium")


def _playwrights_chromium() -> str | None:
    folder = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache" / "ms-playwright")
    browsers = sorted(folder.glob("chromium*/"))
    return str(browsers[-1]) if browsers else None


def _package_check(name: str, found: str | None, package: str, mend: str) -> Check:
    if found is not None:
        return Check(name=name, ok=True, found=found)
    return Check(name=name, ok=False, found=f"the Python package {package} is not installed", mend=mend)


def _version(package: str) -> str | None:
    """An installed package's version, read from its metadata: nothing is imported."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


_CHECKS: tuple[Callable[[], Check], ...] = (
    _python,
    _receive_stamps,
    _cores,
    _memory,
    _llamacpp,
    _default_model,
    _tokenizers,
    _gguf,
    _xdist,
    _gpus,
    _docker,
    _chromium,
)
