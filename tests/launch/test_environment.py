import pytest

from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch.environment import Secrets, filled, resolved


def test_references_and_the_port_are_filled_in_on_top_of_the_parents_environment() -> None:
    pairs = (("HF_TOKEN", "${MY_TOKEN}"), ("ADDRESS", "127.0.0.1:{port}"), ("PATH", "/x"), ("JSON", '{"a": 1}'))
    env, secrets = resolved(pairs, environ={"MY_TOKEN": "s3cret-value", "PATH": "/bin", "HOME": "/root"}, port=81)
    assert env == {
        "MY_TOKEN": "s3cret-value",
        "HF_TOKEN": "s3cret-value",
        "ADDRESS": "127.0.0.1:81",
        "PATH": "/x",
        "JSON": '{"a": 1}',
        "HOME": "/root",
    }
    assert secrets == Secrets(("s3cret-value",))


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(EngineError) as error:
        resolved((("HF_TOKEN", "x${MY_TOKEN}"),), environ={}, port=1)
    assert str(error.value) == (
        "the engine's env.HF_TOKEN refers to ${MY_TOKEN}, and the environment variable MY_TOKEN is not set"
    )


def test_a_value_is_not_read_as_a_reference_again() -> None:
    env, _ = resolved((("A", "${B}"),), environ={"B": "${C}", "C": "x"}, port=1)
    assert env["A"] == "${C}"


def test_what_came_in_by_reference_is_hidden_the_longest_first() -> None:
    _, secrets = resolved((("A", "${B}${C}"),), environ={"B": "secret", "C": "secret-and-more"}, port=1)
    assert secrets.hidden_in("key=secret-and-more secret") == "key=REDACTED REDACTED"
    assert secrets.hidden_in_bytes(b"\xff secret-and-more") == b"\xff REDACTED"
    assert "secret" not in repr(secrets)


def test_a_short_value_is_not_looked_for_everywhere() -> None:
    _, secrets = resolved((("A", "${B}"),), environ={"B": "1"}, port=1)
    assert secrets.hidden_in("11 of 11") == "11 of 11"


def test_the_port_is_filled_in_wherever_it_stands() -> None:
    assert filled(("x", "--port={port}", "{port}"), port=80) == ("x", "--port=80", "80")


def test_a_command_line_without_a_port_is_refused() -> None:
    with pytest.raises(EngineError) as error:
        filled(("serve", "--x"), port=80)
    assert str(error.value) == (
        "the command line of the server has no {port}, nor has its env, so it cannot be told where to listen: serve"
    )


def test_a_server_may_be_told_its_port_in_its_environment_alone() -> None:
    assert filled(("serve", "--x"), port=80, env=(("HOST", "127.0.0.1:{port}"),)) == ("serve", "--x")


def test_a_reference_on_the_command_line_is_refused() -> None:
    with pytest.raises(EngineError) as error:
        filled(("serve", "{port}", "--api-key", "${KEY}"), port=80)
    assert str(error.value) == (
        "the server's arguments refer to ${KEY}; every user of this machine can read a command line: give it as env"
    )
