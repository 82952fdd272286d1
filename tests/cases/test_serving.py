from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.cases.case import Volume
from pytest_inferbench.cases.serving import container_options, cores, size_bytes, ulimits, volume
from pytest_inferbench.errors import ConfigError

GIB = 1 << 30
WRITE = '"~/models:/models:ro" or {source: ~/models, target: /models, mode: ro}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10g", 10 * GIB),
        ("64GiB", 64 * GIB),
        ("1.5 gb", GIB * 3 // 2),
        ("512m", 512 << 20),
        ("4K", 4096),
        ("2t", 2 << 40),
        ("100b", 100),
        ("100", 100),
        (4096, 4096),
    ],
)
def test_amounts_of_memory_are_read_as_container_engines_read_them(text: object, expected: int) -> None:
    assert size_bytes(text) == expected


@given(st.integers(1, 10**6), st.sampled_from("kmgt"))
def test_a_whole_amount_of_memory_is_exact(count: int, unit: str) -> None:
    assert size_bytes(f"{count}{unit}") == count * 1024 ** ("kmgt".index(unit) + 1)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("10x", "'10x' is not an amount of memory; write a number and a unit, such as 10g or 512m"),
        ("5ms", "'5ms' is not an amount of memory; write a number and a unit, such as 10g or 512m"),
        (-1, "'-1' is not an amount of memory; write a number and a unit, such as 10g or 512m"),
        ("0g", "must be more than 0 bytes"),
        (True, "must be an amount of memory, such as 10g, 512m or 64GiB"),
        (1.5, "must be an amount of memory, such as 10g, 512m or 64GiB"),
    ],
)
def test_what_is_no_amount_of_memory_is_said(text: object, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        size_bytes(text)
    assert str(caught.value) == problem


@pytest.mark.parametrize("text", ["0-7", "0,2,8-11", " 3 , 4 "])
def test_cores_are_numbers_and_ranges(text: str) -> None:
    assert cores(text) == text.replace(" ", "")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (4, 'must name cores as text, such as "0-7" or "0,2"'),
        ("all", '\'all\' names no cores; write such as "0-7" or "0,2,8-11"'),
        ("0-", '\'0-\' names no cores; write such as "0-7" or "0,2,8-11"'),
        ("7-0", "the cores 7-0 run backwards; write 0-7"),
    ],
)
def test_what_names_no_cores_is_said(value: object, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        cores(value)
    assert str(caught.value) == problem


@pytest.mark.parametrize("written", ["~/models:/models", "~/models:/models:ro", {"source": "~/models", "target": "/models"}])
def test_a_volume_is_read_only_unless_it_says_otherwise(written: object) -> None:
    assert volume(written) == Volume(source="~/models", target="/models", mode="ro")
    assert volume("/a:/b:rw") == Volume(source="/a", target="/b", mode="rw")


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("~/models", f"must be a folder and where it is in the container: {WRITE}"),
        ("/a:/b:ro:z", f"must be a folder and where it is in the container: {WRITE}"),
        (5, f"must be a folder and where it is in the container: {WRITE}"),
        ("models:/models", "'models' is not a folder of this machine; begin it with /, ./, ../ or ~"),
        ("/a:models", "'models' is no absolute path in the container, such as /models"),
        ("/a:/", "'/' is no absolute path in the container, such as /models"),
        ("/a:/b:z", "the mode is ro (read-only) or rw, not 'z'"),
        ({"source": "/a"}, f"needs source and target: {WRITE}"),
        ({"source": "/a", "target": 5}, f"target must be text; write {WRITE}"),
        ({"source": "/a", "taget": "/b"}, f"unknown field 'taget' (did you mean 'target'?); write {WRITE}"),
    ],
)
def test_what_is_no_volume_is_said(written: object, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        volume(written)
    assert str(caught.value) == problem


def test_one_limit_is_the_soft_and_the_hard_one() -> None:
    assert ulimits({"memlock": -1, "nofile": [1024, 65536], "core": [0, -1]}) == (
        *(("memlock", -1, -1), ("nofile", 1024, 65536), ("core", 0, -1)),
    )


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (["memlock"], "must be a mapping such as {memlock: -1, nofile: [1024, 65536]}"),
        ({"memlok": 1}, "there is no limit 'memlok' (did you mean 'memlock'?); known: as, core, cpu, data, fsize"),
        ({"nofile": "many"}, "nofile must be a whole number, -1 for no limit, or [soft, hard]"),
        ({"nofile": True}, "nofile must be a whole number, -1 for no limit, or [soft, hard]"),
        ({"nofile": [1, 2, 3]}, "nofile must be a whole number, -1 for no limit, or [soft, hard]"),
        ({"nofile": [1, -2]}, "nofile must be a whole number, -1 for no limit, or [soft, hard]"),
        ({"nofile": [2, 1]}, "the soft limit of nofile is above the hard one"),
        ({"nofile": [-1, 5]}, "the soft limit of nofile is above the hard one"),
    ],
)
def test_what_is_no_limit_is_said(value: Any, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ulimits(value)
    assert str(caught.value).startswith(problem)


def test_what_the_containers_api_can_is_kept_as_json_in_one_order() -> None:
    one = container_options({"User": "1000", "HostConfig": {"IpcMode": "host", "CapAdd": ["SYS_NICE"]}})
    assert one == '{"HostConfig": {"CapAdd": ["SYS_NICE"], "IpcMode": "host"}, "User": "1000"}'


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("x", "must be a mapping as the container engine's API has it, such as {HostConfig: {IpcMode: host}}"),
        ({}, "must be a mapping as the container engine's API has it, such as {HostConfig: {IpcMode: host}}"),
        ({"HostConfig": "x"}, "HostConfig must be a mapping, such as {IpcMode: host}"),
        ({"hostconfig": {"Devices": []}}, "'hostconfig' is written HostConfig"),
        ({"Labels": {}}, "Labels is not for here: its name and labels say whose it is"),
        ({"name": "x"}, "Name is not for here: its name and labels say whose it is"),
        ({"Env": ["A=b"]}, "Env is not for here: say it as the engine's env"),
        ({"HostConfig": {"PortBindings": {}}}, "HostConfig.PortBindings is not for here: say it as the engine's ports"),
        ({"HostConfig": {"devices": []}}, "HostConfig.Devices is not for here: which devices it gets is decided by its lease"),
        (
            {"HostConfig": {"Privileged": True}},
            "HostConfig.Privileged is not for here: which devices it gets is decided by its lease",
        ),
        ({"HostConfig": {"Binds": []}}, "HostConfig.Binds is not for here: say it as the engine's volumes"),
        ({"HostConfig": {"Memory": 1}}, "HostConfig.Memory is not for here: say it as the engine's memory"),
        ({"User": {1, 2}}, "holds something that JSON cannot: Object of type set is not JSON serializable"),
    ],
)
def test_what_is_decided_elsewhere_is_no_option_of_a_container(written: Any, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        container_options(written)
    assert error.value.problem == problem
