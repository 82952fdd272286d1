"""What a simulated server is started with."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_inferbench.simulator.deployment import Deployment
from pytest_inferbench.simulator.faults import FaultPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    What is served and how.

    Attributes:
        model: the name that requests carry.
        version: the simulator's own.
        step_s: what every step takes in place of the model's figure.
        start_s: how long the start takes, beside what a fault adds.
    """

    deployment: Deployment
    model: str
    version: str
    seed: int = 0
    faults: FaultPlan = field(default_factory=FaultPlan)
    step_s: float | None = None
    start_s: float = 0.0
