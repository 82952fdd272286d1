from dataclasses import replace

from pytest_inferbench.devices.gpu import Gpu

GPU = Gpu(index=3, uuid="GPU-AbC", name="h100")


def test_a_gpu_is_called_by_its_index_and_a_slice_by_its_uuid_too() -> None:
    assert GPU.label == "gpu 3"
    assert replace(GPU, name="h100-mig-1g.10gb", uuid="MIG-x").label == "gpu 3 (MIG-x)"


def test_a_gpu_is_one_resource_however_its_uuid_is_written() -> None:
    assert GPU.resource == replace(GPU, uuid="gpu-aBc").resource == "gpu gpu-abc"
