"""
Which options of an engine change how it batches: by engine, and by name with - between words.

Rule: what stands beside an option is a field of `EngineProfile`, with ! before it where the option turns it off, or one of
``context_tokens``, ``eager`` (no CUDA graphs), ``kv-cache-dtype`` and ``quantization``. The names are those of the engines' own
command lines; llama.cpp's also those that this project gives them.
"""

from __future__ import annotations

FLAGS: dict[str, dict[str, str]] = {
    "vllm": {
        "max-num-batched-tokens": "max_batched_tokens",
        "max-num-seqs": "max_running",
        "gpu-memory-utilization": "memory_share",
        "max-model-len": "context_tokens",
        "block-size": "block_tokens",
        "enable-prefix-caching": "prefix_caching",
        "enable-chunked-prefill": "chunked_prefill",
        "enforce-eager": "eager",
        "kv-cache-dtype": "kv-cache-dtype",
        "quantization": "quantization",
    },
    "sglang": {
        "chunked-prefill-size": "max_batched_tokens",
        "max-running-requests": "max_running",
        "mem-fraction-static": "memory_share",
        "context-length": "context_tokens",
        "max-total-tokens": "cache_tokens",
        "disable-radix-cache": "!prefix_caching",
        "enable-mixed-chunk": "mixed_steps",
        "disable-cuda-graph": "eager",
        "kv-cache-dtype": "kv-cache-dtype",
        "quantization": "quantization",
    },
    "tgi": {
        "max-batch-prefill-tokens": "max_batched_tokens",
        "max-concurrent-requests": "max_running",
        "max-batch-size": "max_running",
        "cuda-memory-fraction": "memory_share",
        "max-total-tokens": "context_tokens",
        "max-batch-total-tokens": "cache_tokens",
        "kv-cache-dtype": "kv-cache-dtype",
        "quantize": "quantization",
    },
    "trtllm": {
        "max-num-tokens": "max_batched_tokens",
        "max-batch-size": "max_running",
        "max-seq-len": "context_tokens",
        "kv-cache-free-gpu-memory-fraction": "memory_share",
        "free-gpu-memory-fraction": "memory_share",
        "enable-chunked-prefill": "chunked_prefill",
        "kv-cache-dtype": "kv-cache-dtype",
    },
    "lmdeploy": {
        "max-prefill-token-num": "max_batched_tokens",
        "max-batch-size": "max_running",
        "cache-max-entry-count": "memory_share",
        "cache-block-seq-len": "block_tokens",
        "session-len": "context_tokens",
        "enable-prefix-caching": "prefix_caching",
    },
    "llamacpp": {
        "parallel": "max_running",
        "n-parallel": "max_running",
        "ctx": "cache_tokens",
        "ctx-size": "cache_tokens",
        "n-ctx": "cache_tokens",
        "batch-size": "max_batched_tokens",
        "n-batch": "max_batched_tokens",
    },
    "ollama": {"num-parallel": "max_running", "num-ctx": "context_tokens", "num-batch": "max_batched_tokens"},
    "transformers": {"quantization": "quantization"},
}
FLAGS["openai"] = FLAGS["command"] = FLAGS["vllm"]
FLAGS["nim"] = FLAGS["trtllm"]
