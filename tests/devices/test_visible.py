import pytest

from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.devices.visible import visible

WHOLE = tuple(Gpu(index=index, uuid=f"GPU-{index}abc{index}", name="h100") for index in range(4))
SLICES = tuple(Gpu(index=0, uuid=f"MIG-{index}", name="h100-mig-1g.10gb") for index in range(2))
AMD = tuple(Gpu(index=index, uuid=f"{index}aff", name="mi300x", vendor="amd") for index in range(2))


@pytest.mark.parametrize(
    ("words", "indices"),
    [
        ("0,2", [0, 2]),
        (" 3 , 1 ", [1, 3]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("1,-1,2", [1]),
        ("1,9,2", [1]),
        ("GPU-2abc2", [2]),
        ("gpu-2,GPU-0", [0, 2]),
        ("GPU-", []),
    ],
)
def test_only_what_the_environment_leaves_is_ours(words: str, indices: list[int]) -> None:
    assert [gpu.index for gpu in visible(WHOLE, {"CUDA_VISIBLE_DEVICES": words})] == indices


def test_without_a_word_all_are_ours() -> None:
    assert visible(WHOLE + AMD, {}) == WHOLE + AMD


def test_a_slice_is_meant_by_its_uuid_and_the_first_one_by_its_gpus_index() -> None:
    assert visible(SLICES, {"CUDA_VISIBLE_DEVICES": "MIG-1"}) == SLICES[1:]
    assert visible(SLICES, {"CUDA_VISIBLE_DEVICES": "0"}) == SLICES[:1]


def test_each_vendor_has_its_own_variables() -> None:
    assert visible(WHOLE[:1] + AMD, {"ROCR_VISIBLE_DEVICES": "1"}) == (WHOLE[0], AMD[1])
    assert visible(AMD, {"HIP_VISIBLE_DEVICES": "0"}) == AMD[:1]
    assert visible(WHOLE, {"ROCR_VISIBLE_DEVICES": ""}) == WHOLE
