#!/bin/bash
set -euo pipefail
export CONCURRENCIES="4,1"
REQUEST_COUNT=20 python3 -m benchmarks.utils.benchmark \
    --benchmark_name agg \
    --endpoint_url http://localhost:8000 \
    --isl 512 --osl 64
