"""An image that is on this machine in the end, and how far it is fetched, in sentences."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch.docker_engine import ContainerEngine, EngineUnreachable, Image, NotThere

_PROGRESS_EVERY_S = 5.0
_DONE = {"Pull complete", "Already exists"}
_FETCHED = {"Verifying Checksum", "Download complete", "Extracting", *_DONE}
# The engine's events about the image as a whole carry its tag as an id.
_ABOUT_ALL = ("Pulling from", "Digest:", "Status:")


def present_image(engine: ContainerEngine, name: str, *, progress: Callable[[str], None]) -> Image:
    """
    The image of this tag or digest, fetched where it is not here; ``progress`` is told every few seconds how far it is.

    Raises:
        EngineError: it cannot be had; in the registry's words.
    """
    try:
        return engine.image(name)
    except NotThere:
        progress(f"the image {name} is not on this machine; fetching it")
    fetched, said_s = PullProgress(name), time.monotonic()
    try:
        for event in engine.pull(name):
            fetched.feed(event)
            if time.monotonic() - said_s >= _PROGRESS_EVERY_S:
                said_s = time.monotonic()
                progress(fetched.sentence())
        return engine.image(name)
    except EngineUnreachable:
        raise
    except EngineError as error:
        raise EngineError(
            f"{error}; is its name right, may this user have it (docker login), and can its registry be reached from here?"
        ) from error


class PullProgress:
    """How far an image is fetched; fed with the engine's events."""

    def __init__(self, image: str) -> None:
        self._image = image
        self._status: dict[str, str] = {}
        self._fetched_bytes: dict[str, int] = {}
        self._total_bytes: dict[str, int] = {}

    def feed(self, event: Mapping[str, Any]) -> None:
        """Take in one event."""
        layer, status = event.get("id"), str(event.get("status", ""))
        if not isinstance(layer, str) or status.startswith(_ABOUT_ALL):
            return
        self._status[layer] = status
        detail = event.get("progressDetail") or {}
        if status == "Downloading" and isinstance(detail.get("total"), int):
            self._total_bytes[layer] = max(detail["total"], 0)
            self._fetched_bytes[layer] = int(detail.get("current") or 0)
        elif status in _FETCHED and layer in self._total_bytes:
            self._fetched_bytes[layer] = self._total_bytes[layer]

    def sentence(self) -> str:
        """How far it is: layers in place, and bytes of those layers whose size is known by now."""
        done = sum(status in _DONE for status in self._status.values())
        text = f"fetching the image {self._image}: {done} of {len(self._status)} layers are in place"
        total = sum(self._total_bytes.values())
        if not total:
            return text
        known = all(layer in self._total_bytes or status in _DONE for layer, status in self._status.items())
        return f"{text}, {_gigabytes(sum(self._fetched_bytes.values()))} of {'' if known else 'at least '}{_gigabytes(total)} GB"


def _gigabytes(count_bytes: int) -> str:
    return f"{count_bytes / 1e9:.2f}"
