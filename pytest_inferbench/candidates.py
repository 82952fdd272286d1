"""
What a bisection chooses from, in order from good to bad: commits, tags of an image, values of one flag.

Rule: the order is what makes a bisection right, so it is never guessed: commits as git has them, tags as they are given or by
their version, values as they are given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_inferbench.cases.readers import read_text
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.source_trees import commits_between
from pytest_inferbench.variants import parse_variant

_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One of them: what people call it, and the variant of a case that it is."""

    name: str
    variant: str


def of_commits(repository: Path, good: str, bad: str) -> tuple[Candidate, ...]:
    """
    The commits from ``good`` to ``bad``, along first parents.

    Raises:
        ConfigError: one is not there, or ``bad`` does not come after ``good``.
    """
    return tuple(Candidate(name=each.words, variant=f"commit={each.sha}") for each in commits_between(repository, good, bad))


def of_tags(repository: str, tags: Sequence[str], good: str, bad: str) -> tuple[Candidate, ...]:
    """
    Tags in the order in which they are given, from ``good`` to ``bad``.

    Raises:
        ConfigError: one of both is not among them, or they stand the other way round.
    """
    return tuple(Candidate(name=tag, variant=f"image={repository}:{tag}") for tag in _part(tags, good, bad, what="tags"))


def of_flag(text: str, good: str | None, bad: str | None) -> tuple[Candidate, ...]:
    """
    The values of ``args.max_num_seqs=16,32,64``, from ``good`` to ``bad`` (else from the first to the last).

    Raises:
        ConfigError: it cannot be read, or has fewer than two values.
    """
    name, equals, listed = text.partition("=")
    values = [value.strip() for value in listed.split(",") if value.strip()]
    if not equals or len(values) < 2:
        raise ConfigError(f"{text!r} is no ordered list; write args.max_num_seqs=16,32,64", file="--flag")
    chosen = _part(values, good or values[0], bad or values[-1], what="values")
    found = tuple(Candidate(name=f"{name.strip()}={value}", variant=f"{name.strip()}={value}") for value in chosen)
    for each in found:
        parse_variant(each.variant)
    return found


def tags_of(text: str) -> tuple[str, ...]:
    """
    Tags as they are given: separated by commas, or the lines of a file.

    Raises:
        ConfigError: the file cannot be read.
    """
    lines = text.split(",") if "," in text else read_text(Path(text)).splitlines()
    return tuple(line.strip() for line in lines if line.strip() and not line.strip().startswith("#"))


def versions_between(tags: Iterable[str], good: str, bad: str) -> tuple[str, ...]:
    """
    Of a registry's tags those that are versions spelled as ``good`` or ``bad`` is, between both and with them, by their numbers.

    ``v0.10.1`` is spelled as ``v0.10.0`` is; ``latest``, ``v0.10.1-cu118`` and ``v0.10.1rc1`` are not.

    Raises:
        ConfigError: one of both is not there, or is no version, or ``bad`` is not the later one.
    """
    there = set(tags)
    for tag in (good, bad):
        if tag not in there:
            raise ConfigError(f"the registry has no tag {tag}; give the tags in their order with --tags")
        if not _NUMBER.search(tag):
            raise ConfigError(f"{tag} is no version, so nothing says what comes before it; give the tags in order with --tags")
    spellings = {_spelling(good), _spelling(bad)}
    if _version(good) >= _version(bad):
        raise ConfigError(f"{bad} does not come after {good}; give the tags in their order with --tags")
    alike = (tag for tag in there if _spelling(tag) in spellings and _version(good) <= _version(tag) <= _version(bad))
    return tuple(sorted(alike, key=lambda tag: (_version(tag), tag)))


def _part(values: Sequence[str], good: str, bad: str, *, what: str) -> Sequence[str]:
    for value in (good, bad):
        if value not in values:
            raise ConfigError(f"{value} is not among the {what} {', '.join(values)}")
    first, last = values.index(good), values.index(bad)
    if first >= last:
        raise ConfigError(f"{bad} does not come after {good} among the {what} {', '.join(values)}")
    if len(set(values)) < len(values):
        raise ConfigError(f"one of the {what} stands twice: {', '.join(values)}")
    return values[first : last + 1]


def _spelling(tag: str) -> str:
    return _NUMBER.sub("0", tag)


def _version(tag: str) -> tuple[int, ...]:
    return tuple(int(number) for number in _NUMBER.findall(tag))
