"""
Case ids: ``hardware-engine-model-tpN-traffic-load``, such as ``cpu-llamacpp-smollm2-135m-tp1-d128x64-c4``; a suite's label, where
it has one, stands in front.

Rule: an id depends on what the case is and on nothing else: not on its place in the matrix, nor on the run, nor on the machine.
Only ``a-z 0-9 . _ -`` stand in an id, so that it serves ``-k``, shells and file names alike. The two things that depend on the
rest of the suite (a model's longer name, the API) are asked for explicitly.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection
from pathlib import PurePosixPath

_WEIGHTS = (".gguf", ".safetensors", ".bin", ".pt")


def slug(text: str) -> str:
    """Any text as a part of an id: lower case, everything unusual a hyphen; a short digest where nothing is left."""
    bare = re.sub(r"[^a-z0-9._]+", "-", text.lower()).strip("-.")
    return bare or hashlib.sha256(text.encode()).hexdigest()[:8]


def model_slug(model: str) -> str:
    """A catalogue name as it is, a hub name without its owner, a path as its last name without the ending of weights."""
    return slug(_without_ending(PurePosixPath(model).name or model))


def model_slugs(models: Collection[str]) -> dict[str, str]:
    """
    The slug of every model of a suite.

    Models of one name from several owners or folders (``a/chat``, ``b/chat``) get the owner or folder too: ``a.chat``,
    ``b.chat``.
    """
    taken = Counter(model_slug(model) for model in set(models))
    return {model: model_slug(model) if taken[model_slug(model)] == 1 else _longer_slug(model) for model in models}


def server_part(hardware: str, engine: str, *, model: str, tensor_parallel: int) -> str:
    """The first half of an id, from the slugs of its parts: what the server is, such as ``cpu-llamacpp-smollm2-135m-tp1``."""
    return f"{hardware}-{engine}-{model}-tp{tensor_parallel}"


def case_id(server: str, traffic: str, load: str, *, api: str | None = None, label: str | None = None) -> str:
    """The id of a case from the slugs of its parts; ``api`` is given only where the suite has several."""
    return "-".join(part for part in (label, server, traffic, load, api) if part)


def _longer_slug(model: str) -> str:
    path = PurePosixPath(model)
    return ".".join(slug(part) for part in (path.parent.name, _without_ending(path.name)) if part)


def _without_ending(name: str) -> str:
    for ending in _WEIGHTS:
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)]
    return name
