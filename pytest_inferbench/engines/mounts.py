"""
A model as a container sees it: the folder or the cache that it needs of this machine, and its path in there.

Rule: what is mounted for a model is read-only, except the Hugging Face cache, into which an engine downloads what it misses. A
volume of the suite's own always goes first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from pytest_inferbench.cases.case import EngineSpec, Volume
from pytest_inferbench.engines import models
from pytest_inferbench.engines.engine import ModelFiles, TokenizerRef
from pytest_inferbench.errors import EngineError

MODELS_FOLDER = "/models"
"""Where models of this machine are in a container."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounted:
    """A model, and the folders of this machine that its container needs for it."""

    model: ModelFiles
    volumes: tuple[Volume, ...] = ()


def mounted_hub_or_folder(model: str, engine: EngineSpec, *, cache_folder: str) -> Mounted:
    """
    A model for an engine in a container that reads the hub's own format.

    A folder of this machine is mounted, unless a volume of the suite has it already; a path that only the container knows, below
    a volume's target, is taken as it is. A hub name goes to the engine, with this machine's cache (where there is one) at
    ``cache_folder``: the model need not be here, and its tokenizer is known only where the cache has it.

    Raises:
        EngineError: the path is neither on this machine nor in a volume, or it is no name.
    """
    if models.is_path(model) or model.startswith("/"):
        return _folder(model, engine)
    files = models.hub_files(model, revision=engine.revision)
    return Mounted(model=files, volumes=cache_volume(engine, cache_folder))


def mounted_gguf(model: str, engine: EngineSpec, *, cache_folder: str) -> Mounted:
    """
    A model for an engine in a container that reads GGUF files.

    Raises:
        EngineError: it is neither on this machine nor in a volume.
    """
    if model.startswith("/") and not Path(model).exists():
        return _folder(model, engine)
    found = models.gguf_file(model)
    name = models.served_name(model)
    files = ModelFiles(
        load_from="", served_name=name, tokenizer=TokenizerRef(kind="gguf", path=found.path), revision=found.revision
    )
    cache = cache_volume(engine, cache_folder)
    if cache and found.path.is_relative_to(models.hub_cache()):
        # Its files are links from one folder of the cache to another.
        inside = PurePosixPath(cache[0].target) / found.path.relative_to(models.hub_cache()).as_posix()
        return Mounted(model=replace(files, load_from=str(inside)), volumes=cache)
    path = found.path.absolute().resolve()
    place, volumes = _placed(path.parent, engine)
    return Mounted(model=replace(files, load_from=f"{place}/{path.name}"), volumes=volumes)


def cache_volume(engine: EngineSpec, cache_folder: str) -> tuple[Volume, ...]:
    """This machine's Hugging Face cache, where there is one and the suite mounts nothing there itself."""
    target = f"{cache_folder}/hub"
    if any(PurePosixPath(target).is_relative_to(volume.target) for volume in engine.container.volumes):
        return ()
    cache = models.hub_cache()
    return (Volume(source=str(cache.absolute()), target=target, mode="rw"),) if cache.is_dir() else ()


def _folder(model: str, engine: EngineSpec) -> Mounted:
    name = models.served_name(model)
    host = Path(model).expanduser()
    if host.exists():
        place, volumes = _placed(host.absolute().resolve(), engine)
        files = ModelFiles(load_from=place, served_name=name, tokenizer=models.tokenizer_in(host))
        return Mounted(model=files, volumes=volumes)
    for volume in engine.container.volumes:
        if PurePosixPath(model).is_relative_to(volume.target):
            here = Path(volume.source).expanduser() / PurePosixPath(model).relative_to(volume.target)
            return Mounted(model=ModelFiles(load_from=model, served_name=_last(model), tokenizer=_tokenizer_of(here)))
    raise EngineError(f"there is no model at {host.absolute()}, neither on this machine nor in a volume of the container")


def _placed(path: Path, engine: EngineSpec) -> tuple[str, tuple[Volume, ...]]:
    """Where a folder of this machine is in the container, and the volume that it takes, if any."""
    for volume in engine.container.volumes:
        source = Path(volume.source).expanduser().resolve()
        if path.is_relative_to(source):
            return str(PurePosixPath(volume.target) / path.relative_to(source).as_posix()), ()
    target = f"{MODELS_FOLDER}/{path.name}"
    return target, (Volume(source=str(path), target=target, mode="ro"),)


def _tokenizer_of(path: Path) -> TokenizerRef:
    if path.suffix == ".gguf":
        return TokenizerRef(kind="gguf", path=path) if path.is_file() else TokenizerRef(kind="none")
    return models.tokenizer_in(path)


def _last(model: str) -> str:
    return PurePosixPath(model).name.removesuffix(".gguf")
