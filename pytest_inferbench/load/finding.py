"""What an audit found, in words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing the audit found: ``invalidates`` says whether the case's figures must not be believed."""

    what: str
    advice: str
    invalidates: bool
