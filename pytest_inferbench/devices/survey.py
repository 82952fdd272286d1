"""What a vendor's driver answers about all its GPUs at once, whichever way it was asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.devices.usage import Usage

Links = frozenset[frozenset[str]]

_PCI_DEVICES = Path("/sys/bus/pci/devices")


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """
    One answer.

    Attributes:
        gpus: in the driver's order; a GPU that is cut into slices is there as its slices only.
        links: pairs of uuids with a direct link between them (NVLink, XGMI).
        driver: its version.
        trouble: what went wrong, in words; None where all is well, or where there is no such driver.
        usages: what goes on on them, by uuid.
    """

    gpus: tuple[Gpu, ...] = ()
    links: Links = frozenset()
    driver: str | None = None
    trouble: str | None = None
    usages: Mapping[str, Usage] = field(default_factory=dict)


def linked_pairs(uuids: list[str], linked: Callable[[int, int], bool]) -> Links:
    """The pairs of devices that ``linked`` is true for, asked once a pair by their places in ``uuids``."""
    pairs = [(a, b) for a in range(len(uuids)) for b in range(a + 1, len(uuids))]
    return frozenset(frozenset({uuids[a], uuids[b]}) for a, b in pairs if linked(a, b))


def numa_of(pci_bus_id: str, *, devices: Path = _PCI_DEVICES) -> int | None:
    """The NUMA node next to a device, as the kernel knows it; ``00000000:3B:00.0`` and ``0000:3b:00.0`` are the same device."""
    domain, _, rest = pci_bus_id.strip().lower().partition(":")
    try:
        node = int((devices / f"{domain[-4:]}:{rest}" / "numa_node").read_text("ascii"))
    except (OSError, ValueError):
        return None
    # The kernel says -1 where the machine has no such thing.
    return node if node >= 0 else None


def text_of(answer: str | bytes) -> str:
    """What a driver's library answered, as text: older ones answer with bytes."""
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
