"""What the loopback server's log says, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_inferbench.errors import LoadError
from pytest_inferbench.load.loopback import LoopbackLog, Sent, read_log


def test_a_log_with_other_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "times.csv").write_text("")
    (tmp_path / "log.csv").write_text("a,b\n")
    with pytest.raises(LoadError, match=r"log begins with \['a', 'b'\], not with its columns"):
        read_log(tmp_path, {"requests": 0, "aborted": 0, "stalls": 0})


def test_lateness_of_an_empty_log_is_an_error() -> None:
    log = LoopbackLog(sent={}, requests=0, aborted=0, stalls=0)
    with pytest.raises(LoadError, match="no request with an X-Request-Id header reached it"):
        log.late_ms(0.99)


def test_lateness_is_that_of_the_share_of_requests() -> None:
    def late(late_ns: int) -> Sent:
        return Sent(received_ns=0, first_token_ns=1, last_token_ns=1, tokens=1, late_ns_max=late_ns, connected_ns=0)

    log = LoopbackLog(sent={str(n): late(n * 1_000_000) for n in range(100)}, requests=100, aborted=0, stalls=0)
    assert [log.late_ms(share) for share in (0.0, 0.5, 0.99, 1.0)] == [0.0, 50.0, 99.0, 99.0]
