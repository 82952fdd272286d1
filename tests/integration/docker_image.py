"""
Images with a real model server in them, made from what this machine has: nothing is fetched.

The full one holds this Python, its standard library and llama.cpp's server (the wheel ``xllamacpp``), with the shared libraries
that they load: about 160 MB. The bare one has folders and nothing in them, for servers whose whole system is bound in from the
host. Models, and the sources under test, come in as volumes, so that an image made once stays right.
"""

from __future__ import annotations

import fcntl
import os
import platform
import re
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import metadata, util
from pathlib import Path

import docker
from docker.errors import DockerException, ImageNotFound
from requests.exceptions import RequestException

from pytest_inferbench.cases.case import Volume
from pytest_inferbench.launch.docker_sdk import DEFAULT_HOST, knock

ROOT = Path(__file__).parents[2]
REPOSITORY = "inferbench-test"
PACKAGES = "/opt/packages"
MODULE = "pytest_inferbench.launch.llamacpp_server"
PYTHON = str(Path(sys.executable).resolve())
_FOLDERS = ("tmp", "proc", "sys", "dev", "etc", "root", "var", "run", "usr", "opt", "sbin")
# Links into /usr on most systems. /sbin is none in the bare image: the engine puts its init program there.
_MERGED = ("bin", "lib", "lib64")
_LEFT_OUT = {"__pycache__", "test", "tests", "idlelib", "tkinter", "ensurepip", "site-packages", "dist-packages"}
_LIBRARY = re.compile(r"(?:=> |^\s*)(/\S+) \(0x[0-9a-f]+\)", re.MULTILINE)
_ANSWER_LIMIT_S = 60

Fill = Callable[[tarfile.TarFile], None]


class NoEngine(Exception):
    """No container engine answers here; says why."""


@contextmanager
def client() -> Iterator[docker.DockerClient]:
    """
    The engine by way of the SDK itself, so that tests do not check our work with our work.

    Raises:
        NoEngine: there is none.
    """
    try:
        knock(os.environ.get("DOCKER_HOST") or DEFAULT_HOST)
        engine = docker.from_env(timeout=_ANSWER_LIMIT_S)
    except (OSError, DockerException, RequestException) as error:
        raise NoEngine(f"no container engine answers: {error}") from error
    try:
        yield engine
    finally:
        engine.close()


def full_image(engine: docker.DockerClient) -> str:
    """
    The name of an image whose entrypoint is llama.cpp's server; made where it is not there.

    Raises:
        PackageNotFoundError: the wheel is not installed.
    """
    name = f"python{platform.python_version()}-llamacpp{metadata.version('xllamacpp')}"
    changes = (f'ENTRYPOINT ["{PYTHON}", "-m", "{MODULE}"]', f"ENV PYTHONPATH={PACKAGES}")
    return _present(engine, name, changes=changes, fill=_fill)


def bare_image(engine: docker.DockerClient) -> str:
    """The name of an image of a few kilobytes; made where it is not there."""
    return _present(engine, "bare2", changes=(), fill=_link_merged)


def sources() -> tuple[Volume, ...]:
    """The package under test, where the full image looks for it."""
    return (Volume(source=str(ROOT / "pytest_inferbench"), target=f"{PACKAGES}/pytest_inferbench"),)


def host_system() -> tuple[Volume, ...]:
    """What makes the host's programs run in the bare image: its system, this Python, what is installed in it, and the sources."""
    folders = {"/usr", sys.base_prefix, sys.prefix, str(ROOT)}
    folders |= {f"/{name}" for name in _MERGED if Path(f"/{name}").is_dir() and not Path(f"/{name}").is_symlink()}
    inner = {folder for folder in folders if any(folder != other and folder.startswith(f"{other}/") for other in folders)}
    return tuple(Volume(source=folder, target=folder) for folder in sorted(folders - inner))


def _present(engine: docker.DockerClient, name: str, *, changes: Iterable[str], fill: Fill) -> str:
    # Podman imports without a tag, whatever is asked for.
    name = f"{REPOSITORY}/{name}:latest"
    with Path(tempfile.gettempdir(), "inferbench-test-image.lock").open("w") as lock, tempfile.TemporaryDirectory() as folder:
        fcntl.flock(lock, fcntl.LOCK_EX)  # workers of one test run need it at the same time
        try:
            engine.api.inspect_image(name)
        except ImageNotFound:
            path = Path(folder, "image.tar")
            with tarfile.open(path, "w") as archive:
                for top in _FOLDERS:
                    archive.addfile(_folder(top))
                fill(archive)
            engine.api.import_image_from_file(
                str(path), repository=name.removesuffix(":latest"), tag="latest", changes=list(changes)
            )
    return name


def _fill(archive: tarfile.TarFile) -> None:
    stdlib, llamacpp = Path(sysconfig.get_path("stdlib")), _package_folder("xllamacpp")
    archive.add(PYTHON, PYTHON)
    archive.add(stdlib, str(stdlib), filter=_wanted)
    archive.add(llamacpp, f"{PACKAGES}/xllamacpp", filter=_wanted)
    for library in sorted(_libraries([Path(PYTHON), *stdlib.glob("lib-dynload/*.so"), *llamacpp.glob("*.so")])):
        archive.add(Path(library).resolve(), library)


def _link_merged(archive: tarfile.TarFile) -> None:
    for name in _MERGED:
        link = _folder(name)
        if Path(f"/{name}").is_symlink():
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
        archive.addfile(link)


def _folder(name: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
    return entry


def _wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if Path(entry.name).name in _LEFT_OUT or entry.name.endswith(".a") else entry


def _package_folder(name: str) -> Path:
    spec = util.find_spec(name)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"{name} is installed and cannot be found")
    return Path(spec.origin).parent


def _libraries(programs: Iterable[Path]) -> set[str]:
    """The shared libraries that programs load, by the paths at which the loader finds them."""
    found = set[str]()
    for program in programs:
        done = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False)
        found |= set(_LIBRARY.findall(done.stdout))
    return found
