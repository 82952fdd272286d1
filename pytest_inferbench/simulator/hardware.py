"""
The accelerators that can be simulated, as their data sheets have them.

Rule: an entry is a fact of a product and says where it stands. FLOPs are dense (a figure that a data sheet gives "with
sparsity" is halved), rates of links are those of one direction. How near an engine comes to them is in `profiles`.

What no data sheet has, and where it is from:

* memory: what the driver reports for the product (``nvidia-smi``, ``amd-smi``), a little less than what is sold, because that is
  what an engine has to share out;
* power at rest: about what such a GPU draws with a model loaded and nothing to do, rounded; it decides no time;
* latency of a hop: as NCCL and RCCL model their rings with the LL protocol (``src/graph/tuning.cc``): ``hwLat`` of the link
  (0.6 us NVLink, 0.8 us XGMI, 1.0 us PCIe), and ``baseLat`` of the whole collective (6.6 us NCCL, 12 us RCCL) spread over the
  14 hops of eight ranks.
"""

from __future__ import annotations

import re
from dataclasses import replace

from pytest_inferbench.cases.catalogue import did_you_mean
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.simulator.deployment import Accelerator

_MIB = 2**20
_TERA = 1e12
_GIGA = 1e9
_NVLINK_HOP_S = 0.6e-6 + 6.6e-6 / 14
_XGMI_HOP_S = 0.8e-6 + 12e-6 / 14
_PCIE_HOP_S = 1.0e-6 + 6.6e-6 / 14
_SLICE = re.compile(r"(?P<gpu>[a-z0-9]+)-mig-(?P<compute>[1-7])g\.(?P<memory_gb>\d+)gb")
_PCIE4_X16 = 31.5 * _GIGA

_ACCELERATORS = {
    entry.name: entry
    for entry in (
        # 900 GB/s of NVLink in both directions; FP16/BF16 1,979 TFLOPS, FP8 3,958, INT8 3,958, all with sparsity.
        Accelerator(
            name="h100",
            flops_per_s={"bf16": 989.5 * _TERA, "fp8": 1979 * _TERA, "int8": 1979 * _TERA},
            memory_bytes=81559 * _MIB,
            bandwidth_bytes_per_s=3350 * _GIGA,
            link_bytes_per_s=450 * _GIGA,
            link_latency_s=_NVLINK_HOP_S,
            power_idle_w=70,
            power_max_w=700,
            clock_mhz=1980,
            product="NVIDIA H100 80GB HBM3",
            source="NVIDIA H100 Tensor Core GPU data sheet (SXM), https://www.nvidia.com/en-us/data-center/h100/",
        ),
        Accelerator(
            name="h200",
            flops_per_s={"bf16": 989.5 * _TERA, "fp8": 1979 * _TERA, "int8": 1979 * _TERA},
            memory_bytes=143771 * _MIB,
            bandwidth_bytes_per_s=4800 * _GIGA,
            link_bytes_per_s=450 * _GIGA,
            link_latency_s=_NVLINK_HOP_S,
            power_idle_w=75,
            power_max_w=700,
            clock_mhz=1980,
            product="NVIDIA H200",
            source="NVIDIA H200 Tensor Core GPU data sheet (SXM), https://www.nvidia.com/en-us/data-center/h200/",
        ),
        # Eight in a DGX B200: FP4 144 PFLOPS and FP8 72 PFLOPS with sparsity, 64 TB/s of memory, 14.4 TB/s of NVLink.
        Accelerator(
            name="b200",
            flops_per_s={"bf16": 2250 * _TERA, "fp8": 4500 * _TERA, "int8": 4500 * _TERA, "fp4": 9000 * _TERA},
            memory_bytes=183359 * _MIB,
            bandwidth_bytes_per_s=8000 * _GIGA,
            link_bytes_per_s=900 * _GIGA,
            link_latency_s=_NVLINK_HOP_S,
            power_idle_w=140,
            power_max_w=1000,
            clock_mhz=1965,
            product="NVIDIA B200",
            source="NVIDIA DGX B200 data sheet, an eighth of it, https://www.nvidia.com/en-us/data-center/dgx-b200/",
        ),
        Accelerator(
            name="a100-80gb",
            flops_per_s={"bf16": 312 * _TERA, "int8": 624 * _TERA},
            memory_bytes=81920 * _MIB,
            bandwidth_bytes_per_s=2039 * _GIGA,
            link_bytes_per_s=300 * _GIGA,
            link_latency_s=_NVLINK_HOP_S,
            power_idle_w=60,
            power_max_w=400,
            clock_mhz=1410,
            product="NVIDIA A100-SXM4-80GB",
            source="NVIDIA A100 Tensor Core GPU data sheet (80 GB SXM), https://www.nvidia.com/en-us/data-center/a100/",
        ),
        Accelerator(
            name="a100-40gb",
            flops_per_s={"bf16": 312 * _TERA, "int8": 624 * _TERA},
            memory_bytes=40960 * _MIB,
            bandwidth_bytes_per_s=1555 * _GIGA,
            link_bytes_per_s=300 * _GIGA,
            link_latency_s=_NVLINK_HOP_S,
            power_idle_w=50,
            power_max_w=400,
            clock_mhz=1410,
            product="NVIDIA A100-SXM4-40GB",
            source="NVIDIA A100 Tensor Core GPU Architecture white paper (40 GB SXM), "
            "https://images.nvidia.com/aem-dam/en-zz/Solutions/data-center/nvidia-ampere-architecture-whitepaper.pdf",
        ),
        # FP16/BF16 242 TFLOPS, FP8 485, INT8 485, all with sparsity; no NVLink.
        Accelerator(
            name="l4",
            flops_per_s={"bf16": 121 * _TERA, "fp8": 242.5 * _TERA, "int8": 242.5 * _TERA},
            memory_bytes=23034 * _MIB,
            bandwidth_bytes_per_s=300 * _GIGA,
            link_bytes_per_s=_PCIE4_X16,
            link_latency_s=_PCIE_HOP_S,
            power_idle_w=16,
            power_max_w=72,
            clock_mhz=2040,
            product="NVIDIA L4",
            source="NVIDIA L4 Tensor Core GPU data sheet, https://www.nvidia.com/en-us/data-center/l4/",
        ),
        Accelerator(
            name="l40s",
            flops_per_s={"bf16": 362.05 * _TERA, "fp8": 733 * _TERA, "int8": 733 * _TERA},
            memory_bytes=46068 * _MIB,
            bandwidth_bytes_per_s=864 * _GIGA,
            link_bytes_per_s=_PCIE4_X16,
            link_latency_s=_PCIE_HOP_S,
            power_idle_w=35,
            power_max_w=350,
            clock_mhz=2520,
            product="NVIDIA L40S",
            source="NVIDIA L40S data sheet, https://www.nvidia.com/en-us/data-center/l40s/",
        ),
        Accelerator(
            name="a10",
            flops_per_s={"bf16": 125 * _TERA, "int8": 250 * _TERA},
            memory_bytes=23028 * _MIB,
            bandwidth_bytes_per_s=600 * _GIGA,
            link_bytes_per_s=_PCIE4_X16,
            link_latency_s=_PCIE_HOP_S,
            power_idle_w=20,
            power_max_w=150,
            clock_mhz=1695,
            product="NVIDIA A10",
            source="NVIDIA A10 Tensor Core GPU data sheet, https://www.nvidia.com/en-us/data-center/products/a10-gpu/",
        ),
        # Seven links to the seven others in a platform, each 64 GB/s in one direction.
        Accelerator(
            name="mi300x",
            flops_per_s={"bf16": 1307.4 * _TERA, "fp8": 2614.9 * _TERA, "int8": 2614.9 * _TERA},
            memory_bytes=196592 * _MIB,
            bandwidth_bytes_per_s=5300 * _GIGA,
            link_bytes_per_s=448 * _GIGA,
            link_latency_s=_XGMI_HOP_S,
            power_idle_w=140,
            power_max_w=750,
            clock_mhz=2100,
            product="AMD Instinct MI300X",
            source="AMD Instinct MI300X accelerator data sheet, "
            "https://www.amd.com/content/dam/amd/en/documents/instinct-tech-docs/data-sheets/amd-instinct-mi300x-data-sheet.pdf",
        ),
        # No product but a rough figure: two cores of 2.5 GHz with 32 single-precision operations a cycle (two 256-bit fused
        # multiply-adds), and the part of a socket's memory rate that they get. Under them a llama.cpp server with 145 MB of
        # weights answered a token in 9.2 ms (16 GB/s), as README.md shows.
        Accelerator(
            name="cpu",
            flops_per_s={"bf16": 0.16 * _TERA, "int8": 0.16 * _TERA},
            memory_bytes=8 * 1024 * _MIB,
            bandwidth_bytes_per_s=20 * _GIGA,
            link_bytes_per_s=10 * _GIGA,
            link_latency_s=_PCIE_HOP_S,
            power_idle_w=10,
            power_max_w=30,
            clock_mhz=2500,
            product="2 cores of a server CPU",
            source="rough: 2 cores x 2.5 GHz x 32 FLOP a cycle; memory rate by a measured llama.cpp server, README.md",
        ),
    )
}


def accelerator(name: str) -> Accelerator:
    """
    The accelerator that ``name`` stands for, or a slice of it such as ``h100-mig-1g.10gb``; capitals don't matter.

    Raises:
        ConfigError: none of that name can be simulated; lists those that can.
    """
    wanted = name.strip().lower()
    entry = _ACCELERATORS.get(wanted) or _slice_of(wanted)
    if entry is None:
        raise ConfigError(
            f"{name!r} cannot be simulated{did_you_mean(name.lower(), _ACCELERATORS)}; known: {', '.join(_ACCELERATORS)}"
        )
    return entry


def _slice_of(name: str) -> Accelerator | None:
    """A MIG slice: so many sevenths of the compute, and of the memory's rate as much as it has of the memory."""
    found = _SLICE.fullmatch(name)
    gpu = found and next((each for each in _ACCELERATORS.values() if f"{each.name}-".startswith(f"{found['gpu']}-")), None)
    if found is None or gpu is None:
        return None
    compute, memory_bytes = int(found["compute"]) / 7, int(found["memory_gb"]) * 1024 * _MIB
    return replace(
        gpu,
        name=name,
        flops_per_s={dtype: flops * compute for dtype, flops in gpu.flops_per_s.items()},
        memory_bytes=memory_bytes,
        bandwidth_bytes_per_s=gpu.bandwidth_bytes_per_s * min(1.0, round(8 * memory_bytes / gpu.memory_bytes) / 8),
        power_max_w=gpu.power_idle_w + (gpu.power_max_w - gpu.power_idle_w) * compute,
    )


def accelerator_names() -> tuple[str, ...]:
    """Every accelerator that can be simulated."""
    return tuple(_ACCELERATORS)
