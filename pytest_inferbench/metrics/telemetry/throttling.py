"""That GPUs ran slower than they could while they were measured, for want of power or of cooling."""

from __future__ import annotations

from pytest_inferbench.load.finding import Finding
from pytest_inferbench.metrics.telemetry.telemetry import Telemetry

SHARE_NOTED = 0.1
"""A few readings with a reason are usual for a GPU that works near its limit."""
_ADVICE = "the figures are those of this host's power and cooling: see to these, or to the GPUs' power limit, and run again"


def throttling_findings(telemetry: Telemetry | None) -> tuple[Finding, ...]:
    """The GPUs that were held back in more than a tenth of their readings, and why; nothing where none was."""
    held = [] if telemetry is None else [gpu for gpu in telemetry.gpus if (gpu.throttled_share or 0.0) > SHARE_NOTED]
    if not held:
        return ()
    named = ", ".join(
        f"GPU {gpu.gpu} in {gpu.throttled_share:.0%} of the time ({', '.join(gpu.throttle_reasons)})" for gpu in held
    )
    return (Finding(what=f"GPUs were held back: {named}", advice=_ADVICE, invalidates=False),)
