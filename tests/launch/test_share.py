import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.cases.case import HostShare
from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch.share import cores_of, parse_cores, visible_gpus

ALL = frozenset(range(16))


def gpu(index: int, vendor: str = "nvidia", *, declared: bool = False) -> Gpu:
    return Gpu(index=index, uuid=f"GPU-{index}", name="h100", vendor=vendor, declared=declared)


def test_a_server_sees_the_gpus_that_it_was_given_by_uuid() -> None:
    assert visible_gpus([gpu(3), gpu(5)]) == {"CUDA_VISIBLE_DEVICES": "GPU-3,GPU-5"}
    assert visible_gpus([gpu(0, "amd")]) == {"ROCR_VISIBLE_DEVICES": "GPU-0"}


def test_no_gpus_and_declared_ones_leave_the_environment_as_it_is() -> None:
    assert visible_gpus([]) == {}
    assert visible_gpus([gpu(0, declared=True)]) == {}


def test_a_share_of_everything_ties_a_server_to_nothing() -> None:
    assert cores_of(HostShare(memory_bytes=1), allowed=ALL) == frozenset()


def test_cores_and_a_numa_node_together_are_those_in_both() -> None:
    share = HostShare(cpus="0-3, 8", numa=1)
    assert cores_of(share, allowed=ALL, node_cores=lambda node: {1: "2-9"}[node]) == {2, 3, 8}
    assert cores_of(HostShare(numa=1), allowed=ALL, node_cores=lambda _: "12-31") == {12, 13, 14, 15}


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (
            HostShare(cpus="14-17"),
            "the server is to use the cores 14-17, and 16-17 cannot be had here; this process may use 0-15",
        ),
        (
            HostShare(cpus="0", numa=1),
            "there is no core of NUMA node 1 that the server may use; this process may use 0-15",
        ),
        (HostShare(cpus="3-1"), "'3-1' is no list of cores; write one such as 0-7,16"),
    ],
)
def test_cores_that_cannot_be_had_are_an_error(share: HostShare, words: str) -> None:
    with pytest.raises(EngineError) as error:
        cores_of(share, allowed=ALL, node_cores=lambda _: "8-15")
    assert str(error.value) == words


def test_the_machines_own_cores_and_nodes_are_asked_for() -> None:
    core = min(os.sched_getaffinity(0))
    assert cores_of(HostShare(cpus=str(core))) == {core}
    with pytest.raises(EngineError, match="this machine has no NUMA node 4000, which the server is to use"):
        cores_of(HostShare(numa=4000))


@given(st.sets(st.integers(0, 300), min_size=1))
def test_a_list_of_cores_is_read_as_those_cores(cores: set[int]) -> None:
    assert parse_cores(",".join(map(str, sorted(cores)))) == cores
