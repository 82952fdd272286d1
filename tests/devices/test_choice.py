from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.devices.choice import choose
from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.devices.survey import Links


def gpus(*numa: int | None) -> list[Gpu]:
    return [Gpu(index=index, uuid=f"GPU-{index}", name="h100", numa=node) for index, node in enumerate(numa)]


def links(*pairs: tuple[int, int]) -> Links:
    return frozenset(frozenset({f"GPU-{a}", f"GPU-{b}"}) for a, b in pairs)


def chosen(free: list[Gpu], count: int, pairs: Links = frozenset()) -> list[int] | None:
    some = choose(free, count, links=pairs)
    return None if some is None else [gpu.index for gpu in some]


def test_neighbours_come_first() -> None:
    four = gpus(None, None, None, None)
    assert chosen(four, 2, links((1, 3))) == [1, 3]
    assert chosen(four, 3, links((0, 3), (1, 3), (1, 2), (2, 3))) == [1, 2, 3]


def test_the_same_part_of_the_host_comes_next() -> None:
    assert chosen(gpus(0, 1, 1, 0), 2) == [0, 3]
    assert chosen(gpus(0, 1, 1, 1), 3) == [1, 2, 3]


def test_links_count_more_than_the_part_of_the_host() -> None:
    assert chosen(gpus(0, 0, 1), 2, links((1, 2))) == [1, 2]


def test_a_single_one_does_not_break_a_pair() -> None:
    assert chosen(gpus(0, 0, 0), 1, links((0, 1))) == [2]


def test_a_link_to_a_gpu_that_is_not_free_does_not_count() -> None:
    assert chosen(gpus(0, 0, 0)[:2], 1, links((0, 2))) == [0]


def test_of_equals_the_first_are_taken_whatever_their_order() -> None:
    eight = gpus(*[0] * 8)
    everyone = links(*combinations(range(8), 2))
    assert chosen(eight[::-1], 4, everyone) == [0, 1, 2, 3]
    assert chosen(eight, 8, everyone) == list(range(8))


def test_too_few_are_none() -> None:
    assert chosen(gpus(0), 2) is None
    assert chosen([], 1) is None


def test_of_very_many_those_of_one_part_of_the_host_are_taken() -> None:
    assert chosen(gpus(*[index % 2 for index in range(40)]), 20) == list(range(0, 40, 2))


@given(
    st.integers(1, 8),
    st.lists(st.integers(0, 1), min_size=8, max_size=8),
    st.frozensets(st.sampled_from([*combinations(range(8), 2)])),
)
def test_no_other_choice_has_more_links(count: int, numa: list[int], pairs: frozenset[tuple[int, int]]) -> None:
    eight = gpus(*numa)
    some = chosen(eight, count, links(*pairs))
    assert some is not None
    assert len(set(some)) == count

    def inside(indices: tuple[int, ...]) -> int:
        return sum(1 for a, b in pairs if a in indices and b in indices)

    assert inside(tuple(some)) == max(map(inside, combinations(range(8), count)))
