from __future__ import annotations

import asyncio
from math import inf

import pytest

from pytest_inferbench.simulator.faults import RequestFault
from pytest_inferbench.simulator.server.connection import Connection
from pytest_inferbench.simulator.server.delivery import Direct, Slow


class Written(Connection):
    """A connection that keeps what is written to it."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.data: list[bytes] = []
        self.opened = is_open
        self.write = self.data.append

    @property
    def is_open(self) -> bool:
        return self.opened

    def reply(self, status: int, body: bytes, *, content_type: str = "", headers: str = "") -> None:
        del content_type, headers
        self.data.append(b"%d %b" % (status, body))


def slowly(connection: Written, fault: RequestFault, *, hold_s: float | None = None) -> list[bytes]:
    """What was written of two writes, something to do, and a reply; None of it is waited for where it is held for ever."""

    async def deliver() -> None:
        over = asyncio.Event()
        slow = Slow(connection, fault, asyncio.get_running_loop())
        slow.write(b"1")
        if hold_s is not None:
            slow.hold(hold_s)
        slow.write(b"2")
        slow.then(lambda: connection.data.append(b"then"))
        slow.reply(200, b"3")
        slow.then(over.set)
        if connection.opened and hold_s != inf:
            async with asyncio.timeout(30):
                await over.wait()
        else:
            await asyncio.sleep(0.02)

    asyncio.run(deliver())
    return connection.data


ALL = [b"1", b"2", b"then", b"200 3"]


@pytest.mark.parametrize("fault", [RequestFault(), RequestFault(write_delay_s=0.001), RequestFault(write_bytes_per_s=1000)])
def test_whatever_is_held_back_keeps_its_order(fault: RequestFault) -> None:
    assert slowly(Written(), fault) == ALL
    assert slowly(Written(), fault, hold_s=0.001) == ALL


def test_what_is_held_for_ever_never_comes() -> None:
    assert slowly(Written(), RequestFault(), hold_s=inf) == [b"1"]


def test_nothing_is_written_to_a_client_that_is_gone() -> None:
    assert slowly(Written(is_open=False), RequestFault(write_delay_s=0.001)) == []


def test_directly_is_at_once_and_cannot_wait() -> None:
    connection = Written()
    direct = Direct(connection)
    direct.write(b"1")
    direct.then(lambda: connection.data.append(b"then"))
    direct.reply(200, b"2")
    assert connection.data == [b"1", b"then", b"200 2"]
    with pytest.raises(NotImplementedError, match="a direct delivery cannot wait 2 s"):
        direct.hold(2)
