"""A server that is none, for tests of whatever uses servers, users' own plugins included."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytest_inferbench.engines.engine import TokenizerRef
from pytest_inferbench.launch.endpoint import Endpoint


def fake_endpoint(*, url: str = "http://127.0.0.1:9", model: str = "fake", log_path: Path | None = None) -> Endpoint:
    """An endpoint of an engine called ``fake``; by default nothing answers there."""
    return Endpoint(url=url, model=model, engine="fake", tokenizer=TokenizerRef(kind="none"), log_path=log_path)


class FakeServer:
    """
    A `Server` that follows a script.

    Args:
        endpoint: where it pretends to answer.
        deaths: what `died` says, call by call; the last is said for ever.
        log: what its log holds.

    Attributes:
        stops: how often `stop` was called.
    """

    def __init__(self, endpoint: Endpoint | None = None, *, deaths: Sequence[str | None] = (None,), log: str = "") -> None:
        self._endpoint = endpoint or fake_endpoint()
        self._deaths = list(deaths) or [None]
        self._log = log
        self.stops = 0

    @property
    def endpoint(self) -> Endpoint:
        """Where it pretends to answer."""
        return self._endpoint

    def died(self) -> str | None:
        """The next line of the script."""
        return self._deaths.pop(0) if len(self._deaths) > 1 else self._deaths[0]

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of its log."""
        return "\n".join(self._log.splitlines()[-lines:]) if lines > 0 else ""

    def stop(self) -> None:
        """Count."""
        self.stops += 1
