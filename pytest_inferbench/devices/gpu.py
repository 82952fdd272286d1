"""One GPU, as leases, launchers and telemetry know it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """
    A GPU, or a slice of one.

    Attributes:
        index: as its driver counts, from 0.
        uuid: ``GPU-...`` or ``MIG-...``, which names it in every process and container; ``declared-3`` for one that is not here.
        name: as suites write it: ``h100``.
        memory_total_bytes: None where it is not known.
        numa: the NUMA node it is next to; None where there is one only, or it is not known.
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
