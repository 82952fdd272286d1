"""A server's own account of what it sent."""

from __future__ import annotations

import json
import os
from pathlib import Path

import httpx
import pytest

from suites.fidelity.truth import BUILT_IN, Schedule, Served, account, serving

OTHERS = "request_id,t_recv_ns,t_first_ns,t_last_ns,tokens,max_late_ns,t_krx_ns,t_conn_ns,stream"
OURS = "request_id,received_ns,first_token_ns,last_token_ns,tokens,late_ns_max,connected_ns"


def files(folder: Path, *rows: str) -> tuple[Path, Path]:
    log, times = folder / "log.csv", folder / "times.csv"
    log.write_text("\n".join(rows) + "\n", encoding="ascii")
    times.write_text(",5000000,7000000,8000000\na,1000000,3000000\n", encoding="ascii")
    return log, times


def test_requests_come_in_the_order_of_receipt_and_the_kernel_knows_it_best(tmp_path: Path) -> None:
    served, gaps_ms = account(*files(tmp_path, OTHERS, "b,200,300,400,3,0,190,0,1", "a,100,150,250,2,0,0,0,1"))
    assert served == [
        Served(received_ns=100, first_ns=150, last_ns=250),
        Served(received_ns=190, first_ns=300, last_ns=400),
    ]
    assert gaps_ms == [[2.0], [2.0, 1.0]]


def test_a_request_that_was_never_answered_is_left_out(tmp_path: Path) -> None:
    served, _ = account(*files(tmp_path, OURS, "a,100,-1,-1,0,0,0"))
    assert served == []


def test_the_built_in_server_keeps_an_account() -> None:
    with serving(BUILT_IN, Schedule(ttft_ms=5, itl_ms=2, tokens=3), cpu=min(os.sched_getaffinity(0))) as truth:
        body = json.dumps({"model": truth.model, "messages": [{"role": "user", "content": "hi"}], "stream": True}).encode()
        answer = httpx.post(f"{truth.url}/v1/chat/completions", content=body, timeout=30)
        assert answer.content.endswith(b"data: [DONE]\n\n")
        assert truth.served == []
    (served,), (gaps_ms,) = truth.served, truth.gaps_ms
    assert served.received_ns < served.first_ns < served.last_ns
    assert sum(gaps_ms) == pytest.approx((served.last_ns - served.first_ns) / 1e6)


def test_a_server_that_does_not_listen_is_told() -> None:
    with (
        pytest.raises(SystemExit, match="the server does not listen on port"),
        serving(["false"], Schedule(), cpu=min(os.sched_getaffinity(0))),
    ):
        pass
