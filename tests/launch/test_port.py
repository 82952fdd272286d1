import socket

import pytest

from pytest_inferbench.launch.port import free_port, is_taken, says_port_taken


def test_a_free_port_can_be_listened_on() -> None:
    with socket.create_server(("127.0.0.1", free_port())):
        pass


@pytest.mark.parametrize(
    "log",
    [
        "OSError: [Errno 98] Address already in use",
        "E srv  start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 18190",
        "Error: listen EADDRINUSE: address already in use 127.0.0.1:80",
        "error while attempting to bind on address ('127.0.0.1', 8000): address already in use",
        "port 8000 is already in use",
    ],
)
def test_a_log_that_says_so_is_understood(log: str) -> None:
    assert says_port_taken(f"starting\n{log}\nbye")


def test_any_other_end_is_not_the_ports_fault() -> None:
    assert not says_port_taken("CUDA out of memory; the port 8000 was fine")


def test_a_port_is_taken_while_somebody_listens_on_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert is_taken(port)
    assert not is_taken(port)
