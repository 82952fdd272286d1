from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.cases.formats.option_words import Option, options_of


def test_both_spellings_and_bare_flags_are_read() -> None:
    found = options_of(["--a=1", "--b", "2", "--flag", "--limit=image=1"])
    assert found.given == (Option("a", "1", 0), Option("b", "2", 1), Option("flag", None, 3), Option("limit", "image=1", 4))
    assert (found.program, found.stray) == ((), ())


def test_words_before_the_first_option_are_the_program_unless_they_begin_like_one() -> None:
    found = options_of(["python3", "serve", "--a", "x", "y"])
    assert (found.program, found.stray) == (("python3", "serve"), (4,))


def test_a_negative_number_is_a_value() -> None:
    assert options_of(["--seed", "-1"]).given == (Option("seed", "-1", 0),)


def test_the_last_of_an_option_counts_however_its_words_are_joined() -> None:
    found = options_of(["--max_len=1", "--max-len=2"])
    assert [one.value for one in found.all("max-len")] == ["1", "2"]
    last = found.last("max-len")
    assert last is not None
    assert last.value == "2"
    assert found.last("max") is None


@given(st.lists(st.tuples(st.from_regex(r"[a-z][a-z-]{0,6}", fullmatch=True), st.text("abc/=.0", min_size=1, max_size=5))))
def test_the_two_spellings_say_the_same(pairs: list[tuple[str, str]]) -> None:
    joined = options_of([f"--{name}={value}" for name, value in pairs])
    apart = options_of([word for name, value in pairs for word in (f"--{name}", value)])
    assert [one[:2] for one in joined.given] == [one[:2] for one in apart.given] == pairs
    assert not joined.stray
    assert not apart.stray
