"""One GPU, as leases, launchers and telemetry know it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """
    A GPU, or a slice of one.

    Attributes:
        index: as its driver counts, from 0; of a slice, that of the GPU it is cut from.
        uuid: ``GPU-...`` or ``MIG-...``, which names it in every process and container; ``declared-h100-3`` where it is not here.
        name: as suites write it: ``h100``; of a slice, with its profile: ``h100-mig-1g.10gb``.
        memory_total_bytes: None where it is not known.
        numa: the NUMA node it is next to; None where it is not known.
        vendor: whose driver knows it.
        declared: it was declared for planning, and is not known to be here.
    """

    index: int
    uuid: str
    name: str
    memory_total_bytes: int | None = None
    numa: int | None = None
    vendor: str = "nvidia"
    declared: bool = False

    @property
    def label(self) -> str:
        """What people call it: ``gpu 3``; a slice has its uuid as well, since its GPU has several."""
        return f"gpu {self.index} ({self.uuid})" if "-mig-" in self.name else f"gpu {self.index}"

    @property
    def resource(self) -> str:
        """Its name as a resource of the host that can be held; the same in whatever case its uuid is written."""
        return f"gpu {self.uuid.lower()}"
