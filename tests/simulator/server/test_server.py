from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from pytest_inferbench.simulator.faults import FaultPlan
from pytest_inferbench.simulator.server.server import Crashed, SimulatedServer
from tests.simulator.server.deployments import MODEL, settings
from tests.simulator.server.serving import CHAT, COMPLETIONS, Served, ask_once, chat, request, until, with_server


def faulty(*texts: str) -> FaultPlan:
    return FaultPlan.parse(texts)


def test_everything_says_that_it_is_simulated() -> None:
    async def do(served: Served) -> None:
        assert (await served.ask("/version")).headers["server"] == "inferbench-simulator/0"
        assert (await served.ask("/version")).json == {"version": "inferbench-simulator 0, simulating vllm", "simulated": True}
        assert (await served.ask("/v1/models")).json["data"][0]["owned_by"] == "inferbench-simulator/vllm"
        assert 'inferbench_simulator_info{version="0",engine="vllm"' in (await served.ask("/metrics")).body.decode()
        assert (await served.ask("/health")).json["simulated"] is True

    with_server(settings(), do)


@pytest.mark.parametrize("path", ["/health", "/ping", "/health_generate", "/v1/health/ready", "/api/version"])
def test_every_engines_recipe_finds_it_ready(path: str) -> None:
    assert ask_once(settings(), path).status == 200


def test_a_client_that_hangs_up_frees_its_slot_and_blocks() -> None:
    async def do(served: Served) -> None:
        batcher = served.server.pacer.batcher
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(request(CHAT, chat(max_tokens=4000, ignore_eos=True, stream=True)))
        await reader.readuntil(b"finish_reason")
        assert batcher.running == 1
        assert batcher.kv_usage > 0
        writer.close()
        await writer.wait_closed()
        await until(lambda: not batcher.running)
        assert batcher.kv_usage == 0
        assert served.server.figures.finished["abort"] == 1

    with_server(replace(settings(), step_s=0.01), do)


def test_a_client_that_hangs_up_while_it_waits_leaves_the_queue() -> None:
    async def do(served: Served) -> None:
        batcher = served.server.pacer.batcher
        writers = []
        for _ in range(2):
            _, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(request(CHAT, chat(max_tokens=4000, ignore_eos=True)))
            writers.append(writer)
        await until(lambda: (batcher.running, batcher.waiting) == (1, 1))
        for writer in writers:
            writer.close()
        await until(lambda: not batcher.running + batcher.waiting)

    with_server(replace(settings(max_running=1), step_s=0.01), do)


def test_a_prompt_that_was_there_before_is_found_in_the_cache_until_it_is_reset() -> None:
    body = {"prompt": "the house " * 40, "max_tokens": 1}

    async def do(served: Served) -> None:
        batcher = served.server.pacer.batcher
        await served.ask(COMPLETIONS, body)
        assert batcher.prefix_hits == 0
        await served.ask(COMPLETIONS, body)
        found = batcher.prefix_hits
        assert found == 64  # the full blocks of 16 below 80 tokens, of which the last is computed in any case
        assert (await served.ask("/reset_prefix_cache", {})).json == {"success": True}
        await served.ask(COMPLETIONS, body)
        assert batcher.prefix_hits == found

    with_server(settings(), do)


def test_a_conversations_answer_is_known_to_its_next_turn() -> None:
    async def do(served: Served) -> None:
        first = (await served.ask(CHAT, chat("the house " * 16, max_tokens=32, ignore_eos=True))).json
        said = first["choices"][0]["message"]["content"]
        turns = [("user", "the house " * 16), ("assistant", said), ("user", "and on")]
        messages = [{"role": role, "content": text} for role, text in turns]
        await served.ask(CHAT, {"messages": messages, "max_tokens": 1})
        assert served.server.pacer.batcher.prefix_hits >= 48

    with_server(settings(), do)


def test_while_it_starts_everything_is_503() -> None:
    answer = ask_once(replace(settings(), faults=faulty("never-ready")), "/health")
    assert answer.status == 503
    assert "the model is being loaded" in answer.json["error"]["message"]


def test_a_slow_start_is_ready_in_the_end() -> None:
    async def do(served: Served) -> None:
        while (status := (await served.ask("/health")).status) != 200:
            assert status == 503
            await asyncio.sleep(0.01)

    with_server(replace(settings(), faults=faulty("slow-start=100ms")), do)


def test_it_crashes_after_so_many_answers() -> None:
    async def crash() -> None:
        server = SimulatedServer(replace(settings(), faults=faulty("crash-after-requests=2")))
        server._ready_s = 0.0
        server._over = asyncio.get_running_loop().create_future()
        server._count_answer()
        assert not server._over.done()
        server._count_answer()
        await server._over

    with pytest.raises(Crashed, match=r"crashed on demand after 2 requests and .* s \(simulated\)"):
        asyncio.run(crash())


def test_a_leak_that_fills_the_gpu_ends_it_in_the_drivers_words() -> None:
    async def crash() -> None:
        server = SimulatedServer(replace(settings(), faults=faulty("memory-leak=900GB/s")))
        server._ready_s = -10.0
        server._over = asyncio.get_running_loop().create_future()
        server._look()
        await server._over

    with pytest.raises(Crashed, match="CUDA out of memory"):
        asyncio.run(crash())


def test_a_mistake_of_its_own_ends_it(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def wrong(*_: object) -> None:
        raise RuntimeError("a mistake")

    async def do(served: Served) -> None:
        monkeypatch.setattr(served.server.pacer.batcher, "begin_step", wrong)
        _, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(request(CHAT, chat(max_tokens=4)))
        over = served.server._over
        assert over is not None
        await until(over.done)
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        assert str(over.exception()) == "a mistake"

    with_server(settings(), do)
    assert "Fatal error: protocol.data_received() call failed." in caplog.text


def test_gpus_tell_of_themselves() -> None:
    (gpu,) = ask_once(settings(), "/simulator/gpus").json["gpus"]
    assert gpu["product"] == "NVIDIA H100 80GB HBM3"
    assert gpu["throttle_reasons"] == "idle"


def test_throttling_is_seen_by_the_gpus_and_felt_by_steps() -> None:
    async def do(served: Served) -> None:
        (gpu,) = (await served.ask("/simulator/gpus")).json["gpus"]
        assert gpu["throttle_reasons"] == "power_cap"
        await served.ask(CHAT, chat(max_tokens=4, ignore_eos=True))
        assert served.server.pacer.busy_s == pytest.approx(4 * 0.0005 / 0.5)

    with_server(replace(settings(), faults=faulty("throttle=0.5")), do)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/nothing", 404, {"detail": "Not Found"}),
        ("/generate", 404, {"detail": "Not Found"}),
        (CHAT, 405, {"detail": "Method Not Allowed"}),
        ("/tokenize", 405, {"detail": "Method Not Allowed"}),
    ],
)
def test_wrong_paths_and_methods(path: str, status: int, words: dict[str, str]) -> None:
    answer = ask_once(settings(), path)
    assert (answer.status, answer.json) == (status, words)


def test_tgi_has_its_own_api() -> None:
    answer = ask_once(
        settings("tgi"), "/generate", {"inputs": "the house", "parameters": {"max_new_tokens": 3, "ignore_eos": True}}
    )
    assert answer.json["details"] == {"finish_reason": "length", "generated_tokens": 3, "seed": None, "input_length": 2}


def test_the_context_is_as_long_as_it_says() -> None:
    async def do(served: Served) -> None:
        assert (await served.ask("/v1/models")).json["data"][0]["max_model_len"] == 4096
        whole = await served.ask(COMPLETIONS, {"prompt": "a", "max_tokens": 4095, "model": MODEL})
        assert whole.status == 200
        over = await served.ask(COMPLETIONS, {"prompt": "a", "max_tokens": 4096, "model": MODEL})
        assert over.status == 400
        assert over.json["error"]["message"].startswith("This model's maximum context length is 4096 tokens.")

    with_server(settings(), do)
