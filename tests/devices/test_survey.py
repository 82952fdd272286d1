from pathlib import Path

import pytest

from pytest_inferbench.devices.survey import linked_pairs, numa_of, text_of


@pytest.mark.parametrize("bus_id", ["00000000:3B:00.0", "0000:3b:00.0"])
@pytest.mark.parametrize(("content", "node"), [("1\n", 1), ("0\n", 0), ("-1\n", None), ("", None)])
def test_the_kernel_says_which_node_a_device_is_next_to(tmp_path: Path, bus_id: str, content: str, node: int | None) -> None:
    (tmp_path / "0000:3b:00.0").mkdir()
    (tmp_path / "0000:3b:00.0" / "numa_node").write_text(content)
    assert numa_of(bus_id, devices=tmp_path) == node


@pytest.mark.parametrize("bus_id", ["", "nonsense", "0000:ff:00.0"])
def test_a_device_that_the_kernel_does_not_know_is_next_to_none(tmp_path: Path, bus_id: str) -> None:
    assert numa_of(bus_id, devices=tmp_path) is None


def test_each_pair_is_asked_for_once() -> None:
    asked: list[tuple[int, int]] = []

    def linked(a: int, b: int) -> bool:
        asked.append((a, b))
        return (a, b) == (0, 2)

    assert linked_pairs(["x", "y", "z"], linked) == {frozenset({"x", "z"})}
    assert asked == [(0, 1), (0, 2), (1, 2)]
    assert linked_pairs([], linked) == frozenset()


def test_bytes_are_text() -> None:
    assert text_of(b"NVIDIA L4\xff") == "NVIDIA L4�"
    assert text_of("NVIDIA L4") == "NVIDIA L4"
