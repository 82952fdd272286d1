"""
Which GPUs of the host a process may use, by the environment variables that the vendors' libraries obey.

Rule: a library stops reading at the first word that means no GPU, and so do we.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pytest_inferbench.devices.gpu import Gpu

_VARIABLES = {
    "nvidia": ("CUDA_VISIBLE_DEVICES",),
    "amd": ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"),
}


def visible(gpus: Iterable[Gpu], environ: Mapping[str, str]) -> tuple[Gpu, ...]:
    """Those that this environment leaves to a process; all of a vendor's, where none of its variables is set."""
    all_of_them = tuple(gpus)
    allowed: set[str] = set()
    for vendor in {gpu.vendor for gpu in all_of_them}:
        mine = tuple(gpu for gpu in all_of_them if gpu.vendor == vendor)
        words = next((environ[name] for name in _VARIABLES.get(vendor, ()) if name in environ), None)
        allowed |= {gpu.uuid for gpu in (mine if words is None else _named(mine, words))}
    return tuple(gpu for gpu in all_of_them if gpu.uuid in allowed)


def _named(gpus: tuple[Gpu, ...], words: str) -> list[Gpu]:
    found: list[Gpu] = []
    for word in words.split(","):
        gpu = _meant(gpus, word.strip())
        if gpu is None:
            break
        found.append(gpu)
    return found


def _meant(gpus: tuple[Gpu, ...], word: str) -> Gpu | None:
    """The GPU of a word: its index (of a GPU in slices: the first one), or enough of its uuid to know it."""
    if word.isdigit():
        return next((gpu for gpu in gpus if gpu.index == int(word)), None)
    matching = [gpu for gpu in gpus if word and gpu.uuid.lower().startswith(word.lower())]
    return matching[0] if len(matching) == 1 else None
