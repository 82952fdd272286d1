# Two runs of the same server.
python inferx_benchmark_framework.py \
    --endpoint http://localhost:8000/v1/generate \
    --duration 60 \
    --rate 20 \
    --concurrency 8 \
    --prompt-dist uniform \
    --min-tokens 8 --max-tokens 128 \
    --outdir ./results/run1 \
    --gpu-monitor
python inferx_benchmark_framework.py \
    --endpoint http://localhost:8000/v1/completions \
    --duration 120 --rate 50 --concurrency 16 \
    --request-body-template '{"model":"TinyLlama/TinyLlama-1.1B-Chat-v1.0","prompt":"{prompt}","max_tokens":64}' \
    --outdir ./results/run2 --gpu-monitor
