aiperf profile -m Qwen/Qwen3-0.6B -u http://localhost:8000 --endpoint-type chat --streaming \
  --concurrency 10 --request-rate 5 --request-count 50 --warmup-request-count 5 \
  --isl 550 --isl-stddev 20 --osl 256 --extra-inputs max_tokens:256 min_tokens:256 ignore_eos:true
genai-perf profile -m m -u localhost:8000 --endpoint-type completions --concurrency 4 --request-count 10 --isl 10 --osl 5
