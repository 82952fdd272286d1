"""What products are called in suites and test ids: ``NVIDIA A100-SXM4-80GB`` is ``a100-80gb``."""

from __future__ import annotations

import re

from pytest_inferbench.cases import catalogue

# Words of a product name that say nothing about which chip it is.
_NOISE = {"nvidia", "amd", "instinct", "tesla", "geforce", "quadro", "graphics", "device", "gpu", "generation", "laptop", "oam"}
# Form factors, memory kinds and sizes: the same chip is sold with several. What differs in speed is told apart below.
_VARIANT = re.compile(r"^(pcie|sxm\d*|nvl\d*|hbm\d*e?|\d+\s?gb|\d+g)$")
# These exist with two sizes of memory that decide which models fit, so the size is part of their name.
_SIZED = {"a100": (40, 80), "a800": (40, 80), "v100": (16, 32)}
_MIB_PER_GB = 1000**3 / 1024**2


def normalised(name: str, *, memory_mib: int | None = None) -> str:
    """
    A product's name as it stands in suites and test ids: ``NVIDIA A100-SXM4-80GB`` is ``a100-80gb``.

    A name that is normal already stays as it is, ``gpu`` (any kind of them) too, and a product that the catalogue knows has the
    catalogue's name. ``memory_mib`` settles the size where the name does not say it. A slice has its profile, which says its
    size, in place of its GPU's: ``a100-mig-1g.10gb``.
    """
    if name.strip().lower() == catalogue.ANY_GPU:
        return catalogue.ANY_GPU
    for known in catalogue.hardware_names():
        if name.strip() in catalogue.hardware_of(known).products:
            return known
    words = [word for word in re.split(r"[\s_-]+", name.strip().lower()) if word and word not in _NOISE]
    chip = [word for word in words if not _VARIANT.match(word)]
    text = "-".join(chip) or "unknown"
    return text if text not in _SIZED else f"{text}-{_size_gb(_SIZED[text], words, memory_mib)}gb"


def counted(hardware: str, count: int) -> str:
    """So many of a hardware, as people say it: ``2 x h100``; of any GPU, ``2 GPUs of one kind``."""
    kind = normalised(hardware)
    if kind != catalogue.ANY_GPU:
        return f"{count} x {kind}"
    return "a GPU of any kind" if count == 1 else f"{count} GPUs of one kind"


def _size_gb(sizes: tuple[int, ...], words: list[str], memory_mib: int | None) -> int:
    for word in words:
        if word.removesuffix("gb").isdigit() and int(word.removesuffix("gb")) in sizes:
            return int(word.removesuffix("gb"))
    if memory_mib is None:
        return sizes[0]
    return min(sizes, key=lambda size: abs(size - memory_mib / _MIB_PER_GB))
