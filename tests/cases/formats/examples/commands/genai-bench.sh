MODEL=llama
genai-bench benchmark --api-backend openai \
    --api-base "http://localhost:8080" \
    --api-key "your_api_key" \
    --api-model-name $MODEL \
    --model-tokenizer /models/llama \
    --task text-to-text \
    --max-time-per-run 15 \
    --max-requests-per-run 300 \
    --traffic-scenario "D(100,100)" --traffic-scenario "N(480,240)/(300,150)" \
    --num-concurrency 1 --num-concurrency 8 \
    --server-engine vLLM --server-gpu-type H100 \
    --additional-request-params '{"ignore_eos": true}'
