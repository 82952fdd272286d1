import inspect

import pytest

from pytest_inferbench.launch.docker_engine import ContainerEngine, Made, NotThere
from pytest_inferbench.launch.docker_fake import FakeEngine, refusal

BODY = {"Image": "tiny:1", "Labels": {"a": "b"}, "HostConfig": {"NetworkMode": "net"}}


def test_it_has_every_verb_of_an_engine() -> None:
    engine: ContainerEngine = FakeEngine()
    verbs = {name for name, _ in inspect.getmembers(ContainerEngine) if not name.startswith("_")}
    assert {name for name in verbs if not hasattr(engine, name)} == set()


def test_a_container_lives_and_goes() -> None:
    engine = FakeEngine(port=7, log=(b"hello\n",))
    engine.create_network("net", {"c": "d"})
    engine.create_container("one", BODY)
    engine.start_container("one")
    assert engine.inspect("one")["State"]["Status"] == "running"
    assert engine.list_ours() == (
        Made(kind="container", id="one", name="one", labels={"a": "b"}, running=True),
        Made(kind="network", id="net", name="net", labels={"c": "d"}),
    )
    assert not engine.remove_network("net")
    engine.stop_container("one", limit_s=1)
    assert list(engine.logs("one")) == [b"hello\n"]
    assert engine.inspect("one")["State"]["ExitCode"] == 143
    assert engine.remove_container("one")
    assert not engine.remove_container("one")
    assert engine.remove_network("net")
    assert not engine.remove_network("net")


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(NotThere, match="No such container: one"):
        FakeEngine().inspect("one")
    with pytest.raises(NotThere, match="No such image"):
        FakeEngine(images=()).image("tiny:1")


def test_a_verb_refuses_where_it_is_told_to() -> None:
    engine = FakeEngine()
    engine.refusals["start_container"] = refusal("no")
    engine.create_container("one", BODY)
    with pytest.raises(type(refusal("")), match=r"^Fake 1.0 could not do it: no$"):
        engine.start_container("one")
