"""Shipped presets: the traffic and load levels that many suites want, under one name each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Numbers of tokens are those that genai-bench uses for the same purposes.
SHIPPED: Mapping[str, Mapping[str, Any]] = {
    "smoke": {"traffic": ["D(64,16)"], "concurrency": [1], "requests": 10, "warmup": 2},
    "chat": {"traffic": ["N(480,240)/(300,150)"], "concurrency": [1, 8, 32], "requests": 200, "warmup": 10},
    "interactive": {"traffic": ["D(100,100)"], "concurrency": [1, 4, 16], "requests": 200, "warmup": 10},
    "generation": {"traffic": ["D(100,1000)"], "concurrency": [1, 8, 32], "requests": 200, "warmup": 10},
    "rag": {"traffic": ["D(2000,200)"], "concurrency": [1, 8, 32], "requests": 200, "warmup": 10},
    "long-context": {"traffic": ["D(7800,200)"], "concurrency": [1, 4, 16], "requests": 100, "warmup": 5},
    "batch": {"traffic": ["D(512,128)"], "rate": ["inf"], "requests": 1000, "warmup": 10},
}
