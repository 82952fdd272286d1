"""A container engine that is none, for tests of whatever uses one, users' own included."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch.docker_config import PORT
from pytest_inferbench.launch.docker_engine import Created, Image, Made, NotThere


class FakeLogs:
    """Pieces of a log that end when the container does. It is a `Logs`."""

    def __init__(self, pieces: Sequence[bytes], ended: threading.Event) -> None:
        self._pieces = tuple(pieces)
        self._ended = ended

    def __iter__(self) -> Iterator[bytes]:
        """The pieces, then nothing until the end."""
        yield from self._pieces
        self._ended.wait()

    def close(self) -> None:
        """End it."""
        self._ended.set()


class FakeContainer:
    """One container of a `FakeEngine`; its ``state`` is what inspecting says of it."""

    def __init__(self, name: str, body: Mapping[str, Any]) -> None:
        self.name = name
        self.body = dict(body)
        self.state: dict[str, Any] = {"Status": "created", "Pid": 0, "ExitCode": 0, "OOMKilled": False, "Error": ""}
        self.ended = threading.Event()

    def end(self, exit_code: int = 0, *, oom_killed: bool = False) -> None:
        """Have it end."""
        if self.state["Status"] == "running":
            self.state |= {"Status": "exited", "Pid": 0, "ExitCode": exit_code, "OOMKilled": oom_killed}
        self.ended.set()


class FakeEngine:
    """
    A `ContainerEngine` that runs nothing.

    Args:
        port: the port of this machine that every container seems to publish.
        images: those that are here, by name.
        log: what every container writes.
        pull_events: what pulling yields; the image is here afterwards.

    Attributes:
        containers, networks: what was created and not removed, by name.
        calls: the verbs that were called, in order.
        refusals: what a verb raises, by its name, in place of doing anything.
        ignored: fields of a container's HostConfig that it takes no notice of.
        warnings: what creating a container warns of.
        closed: whether the connection was closed.
    """

    name = "Fake 1.0"

    def __init__(
        self,
        *,
        port: int = 9,
        images: Sequence[str] = ("tiny:1",),
        log: Sequence[bytes] = (),
        pull_events: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.port = port
        self.images = {name: Image(id=f"sha256:{name}", digest=f"{name.partition(':')[0]}@sha256:1") for name in images}
        self.log = log
        self.pull_events = pull_events
        self.containers: dict[str, FakeContainer] = {}
        self.networks: dict[str, dict[str, str]] = {}
        self.calls: list[str] = []
        self.refusals: dict[str, BaseException] = {}
        self.ignored: frozenset[str] = frozenset()
        self.warnings: tuple[str, ...] = ()
        self.closed = False

    def image(self, name: str) -> Image:
        """The image of this name or id."""
        self._called("image")
        for known, image in self.images.items():
            if name in {known, image.id}:
                return image
        raise NotThere(f"{self.name} could not find the image {name}: No such image")

    def pull(self, name: str) -> Iterator[Mapping[str, Any]]:
        """The events, one after the other."""
        self._called("pull")
        yield from self.pull_events
        self.images[name] = Image(id=f"sha256:{name}", digest=f"{name.partition(':')[0]}@sha256:2")

    def create_container(self, name: str, body: Mapping[str, Any]) -> Created:
        """Remember it."""
        self._called("create_container")
        self.containers[name] = FakeContainer(name, body)
        return Created(id=name, warnings=self.warnings)

    def start_container(self, name: str) -> None:
        """Say that it runs."""
        self._called("start_container")
        self._container(name).state |= {"Status": "running", "Pid": 4711}

    def inspect(self, name: str) -> Mapping[str, Any]:
        """What a real engine would say."""
        self._called("inspect")
        container = self._container(name)
        running = container.state["Status"] == "running"
        network = container.body["HostConfig"].get("NetworkMode", "bridge")
        return {
            "State": dict(container.state),
            "Image": f"sha256:{container.body['Image']}",
            "HostConfig": {name: value for name, value in container.body["HostConfig"].items() if name not in self.ignored},
            "NetworkSettings": {
                "Networks": {network: {"IPAddress": "127.0.0.1" if running else ""}},
                "Ports": {f"{PORT}/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(self.port)}]} if running else {},
            },
        }

    def logs(self, name: str) -> FakeLogs:
        """The log that every container has."""
        self._called("logs")
        return FakeLogs(self.log, self._container(name).ended)

    def stop_container(self, name: str, *, limit_s: float) -> None:
        """Have it end as SIGTERM does it."""
        del limit_s
        self._called("stop_container")
        self._container(name).end(143)

    def remove_container(self, name: str) -> bool:
        """Forget it."""
        self._called("remove_container")
        container = self.containers.pop(name, None)
        if container is not None:
            container.end(137)
        return container is not None

    def create_network(self, name: str, labels: Mapping[str, str]) -> None:
        """Remember it."""
        self._called("create_network")
        self.networks.setdefault(name, dict(labels))

    def remove_network(self, name: str) -> bool:
        """Forget it, where no container is in it."""
        self._called("remove_network")
        if any(container.body["HostConfig"].get("NetworkMode") == name for container in self.containers.values()):
            return False
        return self.networks.pop(name, None) is not None

    def list_ours(self) -> tuple[Made, ...]:
        """Everything that it remembers."""
        self._called("list_ours")
        containers = (
            Made(kind="container", id=name, name=name, labels=one.body["Labels"], running=one.state["Status"] == "running")
            for name, one in self.containers.items()
        )
        return (*containers, *(Made(kind="network", id=name, name=name, labels=labels) for name, labels in self.networks.items()))

    def close(self) -> None:
        """Note it."""
        self.closed = True

    def _called(self, verb: str) -> None:
        self.calls.append(verb)
        if verb in self.refusals:
            raise self.refusals[verb]

    def _container(self, name: str) -> FakeContainer:
        if name not in self.containers:
            raise NotThere(f"{self.name} could not find the container {name}: No such container: {name}")
        return self.containers[name]


def refusal(words: str) -> EngineError:
    """What an engine raises that says no, in its words."""
    return EngineError(f"{FakeEngine.name} could not do it: {words}")
