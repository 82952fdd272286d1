"""What a bisection chooses from."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_inferbench.candidates import of_commits, of_flag, of_tags, tags_of, versions_between
from pytest_inferbench.errors import ConfigError
from tests.test_source_trees import git, repository_in

TAGS = ("v0.9.0", "v0.10.0", "v0.10.1", "v0.10.2rc1", "v0.10.2", "v0.10.2-cu118", "latest", "v0.11.0", "v0.11.1", "nightly")


def test_commits_are_named_by_hash_and_message_and_measured_by_hash(tmp_path: Path) -> None:
    repository = repository_in(tmp_path / "repo")
    found = of_commits(repository, "v0", "v2")
    shas = [git(repository, "rev-parse", tag) for tag in ("v0", "v1", "v2")]
    assert [each.variant for each in found] == [f"commit={sha}" for sha in shas]
    assert found[2].name == f"{shas[2][:10]} Change 2"


def test_tags_keep_the_order_in_which_they_are_given() -> None:
    found = of_tags("me/it", ("c", "a", "b", "d"), "a", "d")
    assert [each.name for each in found] == ["a", "b", "d"]
    assert found[1].variant == "image=me/it:b"


def test_values_of_a_flag_go_from_the_first_to_the_last_unless_told() -> None:
    found = of_flag("args.max_num_seqs=16,32, 64,128", None, None)
    assert [each.variant for each in found] == [f"args.max_num_seqs={value}" for value in (16, 32, 64, 128)]
    assert [each.name for each in of_flag("args.n=1,2,3,4", "2", "3")] == ["args.n=2", "args.n=3"]


def test_tags_come_from_a_list_or_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "tags.txt"
    file.write_text("v1\n\n# the one that broke\nv2\n", encoding="utf-8")
    assert tags_of("v1, v2,v3") == ("v1", "v2", "v3")
    assert tags_of(str(file)) == ("v1", "v2")
    with pytest.raises(ConfigError):
        tags_of(str(tmp_path / "none"))


def test_versions_of_a_registry_are_those_spelled_alike_by_their_numbers() -> None:
    assert versions_between(reversed(TAGS), "v0.10.0", "v0.11.0") == ("v0.10.0", "v0.10.1", "v0.10.2", "v0.11.0")
    assert versions_between(TAGS, "v0.9.0", "v0.10.2-cu118") == ("v0.9.0", "v0.10.0", "v0.10.1", "v0.10.2", "v0.10.2-cu118")


@pytest.mark.parametrize(
    ("good", "bad", "words"),
    [
        ("v0.8.0", "v0.11.0", "the registry has no tag v0.8.0; give the tags in their order with --tags"),
        ("v0.10.0", "latest", "latest is no version"),
        ("v0.11.0", "v0.10.0", "v0.10.0 does not come after v0.11.0"),
    ],
)
def test_what_has_no_order_is_not_guessed(good: str, bad: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        versions_between(TAGS, good, bad)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("values", "good", "bad", "words"),
    [
        (("a", "b"), "a", "c", "c is not among the tags a, b"),
        (("a", "b"), "b", "a", "a does not come after b among the tags a, b"),
        (("a", "b", "a", "c"), "a", "c", "one of the tags stands twice"),
    ],
)
def test_tags_that_lead_nowhere_are_named(values: tuple[str, ...], good: str, bad: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        of_tags("me/it", values, good, bad)
    assert words in str(error.value)


@pytest.mark.parametrize("text", ["args.n", "args.n=1", "threads=1,2"])
def test_a_flag_without_an_ordered_list_is_said(text: str) -> None:
    with pytest.raises(ConfigError):
        of_flag(text, None, None)
