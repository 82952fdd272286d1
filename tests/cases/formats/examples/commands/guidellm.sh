guidellm benchmark run \
  --target "http://localhost:8000" \
  --model "Qwen/Qwen3-8B" \
  --rate-type constant --rate 1,2.5 \
  --max-seconds 30 \
  --data "prompt_tokens=256,output_tokens=128"
guidellm benchmark --target http://localhost:8000 --model m --profile concurrent --rate 4 --rate 8 --max-requests 100 --warmup 0.1 \
  --data '{"prompt_tokens": 100, "prompt_tokens_stdev": 20, "output_tokens": 50, "prefix_tokens": 400}' --request-type text_completions
guidellm benchmark --target http://localhost:8000 --model m --max-seconds 60 --max-requests 500 --data "prompt_tokens=8,output_tokens=8"
