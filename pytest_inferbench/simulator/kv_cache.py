"""
The paged cache: how many blocks there are, who holds them, and which are known from before.

Rule: a block is held, idle (nobody holds it, but what is in it is known), or empty; the three always make the capacity.
Blocks are taken as vLLM's own pool takes them: first the empty ones, then the idle one that was let go longest ago.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil

from pytest_inferbench.errors import EngineError
from pytest_inferbench.simulator.deployment import Deployment
from pytest_inferbench.simulator.roofline import kv_copies, weight_bytes, window_bytes_per_token

_GIB = 2**30
# What a rank needs beside weights and cache: context and graphs, activations of about 12 numbers a token and hidden unit, and
# logits in fp32 twice. Held against cache sizes that vLLM logged for Llama 3.1 8B, Qwen3 8B and Qwen3 14B on an H100 NVL and an
# RTX 6000 Ada, where, with 0.9 of the memory, 2.8 to 3.3 GiB are missing at 4096 tokens and 1024 sequences; this says 2.9 to 3.1.
_RUNTIME_BYTES = 1.5 * _GIB
# Of the same without a GPU's context and graphs: about what Python, PyTorch and the engine itself take.
_CPU_RUNTIME_BYTES = 0.5 * _GIB
_ACTIVATION_NUMBERS = 12
_LOGITS_COPIES = 2


class DoesNotFit(EngineError):
    """The model and its cache do not fit on the device; says so as the engine would, and with which numbers."""


@dataclass(slots=True, eq=False)
class Holding:
    """
    The blocks of one sequence.

    Attributes:
        known: hashes of the blocks that others may find, in order.
        own: how many blocks were taken for it that nobody else can find.
        filled: how many of its blocks, from the first, were looked at when they were full.
    """

    known: list[int] = field(default_factory=list)
    own: int = 0
    filled: int = 0

    @property
    def blocks(self) -> int:
        """All of them."""
        return len(self.known) + self.own


class BlockPool:
    """
    The blocks of a deployment.

    Args:
        capacity: how many there are.
        prefix_caching: full blocks stay known after their sequence has ended, until their room is needed.
    """

    def __init__(self, capacity: int, *, prefix_caching: bool = True) -> None:
        self.capacity = capacity
        self._caching = prefix_caching
        self._empty = capacity
        self._holders: dict[int, int] = {}
        self._idle: OrderedDict[int, None] = OrderedDict()

    @property
    def free(self) -> int:
        """Blocks that nobody holds."""
        return self._empty + len(self._idle)

    @property
    def held(self) -> int:
        """Blocks that somebody holds."""
        return self.capacity - self.free

    @property
    def usage(self) -> float:
        """The part that somebody holds, from 0 to 1."""
        return self.held / self.capacity

    def known(self, prefix: Sequence[int], *, blocks_max: int) -> int:
        """How many of the first blocks with these chained hashes are known; a block after an unknown one never is."""
        if not self._caching:
            return 0
        count = 0
        for block in prefix[:blocks_max]:
            if block not in self._holders and block not in self._idle:
                break
            count += 1
        return count

    def admits(self, prefix: Sequence[int], *, known: int, blocks: int) -> bool:
        """Whether a sequence of so many blocks could be held, the first ``known`` of which are."""
        idle = sum(1 for block in prefix[:known] if block in self._idle)
        return blocks - known + idle <= self.free

    def share(self, holding: Holding, prefix: Sequence[int], *, known: int) -> None:
        """Hold the first ``known`` blocks with these hashes too."""
        for block in prefix[:known]:
            if block in self._idle:
                del self._idle[block]
            self._holders[block] = self._holders.get(block, 0) + 1
        holding.known.extend(prefix[:known])
        holding.filled = known

    def take(self, blocks: int) -> bool:
        """Take so many more for a sequence's own, or none of them and False where fewer are free."""
        if blocks > self.free:
            return False
        self._empty -= blocks
        while self._empty < 0:
            self._idle.popitem(last=False)
            self._empty += 1
        return True

    def fill(self, holding: Holding, prefix: Sequence[int], *, full: int) -> None:
        """Make what is in the first ``full`` blocks known by these hashes; what somebody holds already is not known twice."""
        if not self._caching:
            return
        for block in prefix[holding.filled : full]:
            holding.filled += 1
            if block in self._holders:
                continue
            if block in self._idle:
                del self._idle[block]
                self._empty += 1
            self._holders[block] = 1
            holding.known.append(block)
            holding.own -= 1

    def release(self, holding: Holding) -> None:
        """Let all go; of the known ones the last of the sequence is the first to be used for something else."""
        for block in reversed(holding.known):
            self._holders[block] -= 1
            if not self._holders[block]:
                del self._holders[block]
                self._idle[block] = None
        self._empty += holding.own
        holding.known.clear()
        holding.own = 0

    def forget(self) -> bool:
        """Forget what is in idle blocks; False, and nothing done, while somebody holds one."""
        if self.held:
            return False
        self._empty += len(self._idle)
        self._idle.clear()
        return True


def cache_bytes_per_token(deployment: Deployment) -> float:
    """What a token of a sequence takes in blocks, on all ranks; the windows' layers count where there are no others."""
    model = deployment.model
    return (model.kv_bytes_per_token or window_bytes_per_token(model)) * kv_copies(deployment)


def window_blocks(deployment: Deployment, tokens: int) -> int:
    """
    Blocks that a sequence of so many tokens needs for its layers with a sliding window, in blocks of the other layers.

    ceil(min(tokens, window) * bytes of those layers / (block tokens * bytes of the others)), taken at once and kept.
    """
    model = deployment.model
    if not model.window_layers or not model.kv_bytes_per_token:
        return 0
    ratio = window_bytes_per_token(model) / model.kv_bytes_per_token
    return ceil(min(tokens, model.window_tokens) * ratio / deployment.engine.block_tokens)


def reserve_bytes(deployment: Deployment) -> float:
    """
    What a rank needs beside weights and cache.

    1.5 GiB (0.5 GiB on a CPU) + 12 * 2 bytes * batched tokens * hidden + 2 * 4 bytes * running * vocabulary
    """
    engine, model = deployment.engine, deployment.model
    activations = _ACTIVATION_NUMBERS * 2 * engine.max_batched_tokens * model.hidden
    logits = _LOGITS_COPIES * 4 * engine.max_running * model.vocabulary
    runtime = _CPU_RUNTIME_BYTES if deployment.accelerator.name == "cpu" else _RUNTIME_BYTES
    return runtime + activations + logits


def capacity_blocks(deployment: Deployment) -> int:
    """
    Blocks of the cache: what is left of a rank's memory / (block tokens * bytes of a token / TP), rounded down.

    What is left of the memory is, as `EngineProfile.share_of` has it, memory * share - weights / TP - reserve, or
    memory * share - weights / TP, or (memory - weights / TP - reserve) * share.

    Raises:
        DoesNotFit: nothing is left, or less than the engine insists on.
    """
    engine, ranks = deployment.engine, deployment.tensor_parallel
    weights = weight_bytes(deployment.model) / ranks
    block_bytes = engine.block_tokens * cache_bytes_per_token(deployment) / ranks
    memory = deployment.accelerator.memory_bytes
    if weights > memory:
        raise DoesNotFit(_out_of_memory(deployment, weights))
    left = _left_bytes(deployment, weights)
    if engine.cache_tokens:
        wanted = min(engine.cache_tokens, engine.max_running * context_tokens(deployment)) // engine.block_tokens
        if wanted * block_bytes > left:
            raise DoesNotFit(_out_of_memory(deployment, weights + wanted * block_bytes))
        return wanted
    if left < block_bytes:
        raise DoesNotFit(_no_cache(deployment, left))
    blocks = int(left // block_bytes)
    _hold_one_sequence(deployment, blocks, block_bytes)
    return blocks


def _left_bytes(deployment: Deployment, weights: float) -> float:
    memory, share = deployment.accelerator.memory_bytes, deployment.engine.memory_share
    if deployment.engine.share_of == "free":
        return (memory - weights - reserve_bytes(deployment)) * share
    return memory * share - weights - (reserve_bytes(deployment) if deployment.engine.share_of == "memory" else 0)


def context_tokens(deployment: Deployment) -> int:
    """The longest prompt and answer together that the deployment takes."""
    own = deployment.model.context_tokens
    return min(deployment.context_tokens or own, own)


def _hold_one_sequence(deployment: Deployment, blocks: int, block_bytes: float) -> None:
    """Refuse to start, as vLLM does, where not one sequence of the longest context fits; others reject it when it comes."""
    longest = context_tokens(deployment)
    needed = ceil(longest / deployment.engine.block_tokens) + window_blocks(deployment, longest)
    if deployment.engine.name != "vllm" or needed <= blocks:
        return
    raise DoesNotFit(
        f"ValueError: To serve at least one request with the model's max seq len ({longest}), "
        f"({needed * block_bytes / _GIB:.2f} GiB KV cache is needed, which is larger than the available KV cache memory "
        f"({blocks * block_bytes / _GIB:.2f} GiB). Based on the available memory, the estimated maximum model length is "
        f"{blocks * deployment.engine.block_tokens}. Try increasing `gpu_memory_utilization` or decreasing `max_model_len`. "
        f"{_sum(deployment)}"
    )


def _sum(deployment: Deployment) -> str:
    engine, ranks = deployment.engine, deployment.tensor_parallel
    memory = deployment.accelerator.memory_bytes
    return (
        f"(simulated: {deployment.model.name} on {ranks} x {deployment.accelerator.name}: of {memory / _GIB:.2f} GiB a device "
        f"{engine.memory_share:.2f} may be used; weights take {weight_bytes(deployment.model) / ranks / _GIB:.2f} GiB, "
        f"activations and runtime {reserve_bytes(deployment) / _GIB:.2f} GiB; more devices, a smaller dtype or less context help)"
    )


def _out_of_memory(deployment: Deployment, needed: float) -> str:
    memory = deployment.accelerator.memory_bytes
    if deployment.accelerator.name == "cpu":
        words = f"RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried to allocate {needed:.0f} bytes"
    elif deployment.engine.name in ("llamacpp", "ollama"):
        words = (
            f"ggml_backend_cuda_buffer_type_alloc_buffer: allocating {needed / 2**20:.2f} MiB on device 0: "
            "cudaMalloc failed: out of memory"
        )
    else:
        words = (
            f"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate {needed / _GIB:.2f} GiB. "
            f"GPU 0 has a total capacity of {memory / _GIB:.2f} GiB"
        )
    return f"{words}. {_sum(deployment)}"


def _no_cache(deployment: Deployment, left: float) -> str:
    engine = deployment.engine
    words = {
        "vllm": "ValueError: No available memory for the cache blocks. "
        "Try increasing `gpu_memory_utilization` when initializing the engine.",
        "sglang": "RuntimeError: Not enough memory. Please try to increase --mem-fraction-static.",
        "tgi": f"RuntimeError: Not enough memory to handle {engine.max_batched_tokens} prefill tokens. "
        "You need to decrease `--max-batch-prefill-tokens`.",
    }
    if engine.name not in words:
        return _out_of_memory(deployment, deployment.accelerator.memory_bytes - left)
    return f"{words[engine.name]} Available KV cache memory: {left / _GIB:.2f} GiB. {_sum(deployment)}"
