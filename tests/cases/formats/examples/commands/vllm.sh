vllm bench serve --model Qwen/Qwen3-8B --backend openai-chat --endpoint /v1/chat/completions \
  --dataset-name random --random-input-len 1024 --random-output-len 128 --random-range-ratio 0.5 \
  --num-prompts 200 --request-rate 4 --burstiness 0.5 --max-concurrency 32 --ignore-eos --save-result > out.log 2>&1
python3 benchmarks/benchmark_serving.py --model m --dataset-name sharegpt --num-prompts 100 --max-concurrency 16 | tee log
vllm bench serve --model m --num-prompts 10 --random-input-len 100 --random-output-len 10 --random-prefix-len 50
