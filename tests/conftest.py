"""What all tests share."""

from __future__ import annotations

from hypothesis import settings

# A deadline is a wall-clock assertion, which a busy machine fails for no reason of the code's.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")
