"""
Words of a command line as options, in both spellings: ``--name=value`` and ``--name value``.

Rule: nothing is guessed. A word that belongs to no option is told to whoever asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple


class Option(NamedTuple):
    """One option: its name without dashes, its value (None: a bare flag), and the place of its first word."""

    name: str
    value: str | None
    position: int


class Options(NamedTuple):
    """What words say: those before the first option, the options, and the places of words that belong to none."""

    program: tuple[str, ...]
    given: tuple[Option, ...]
    stray: tuple[int, ...]

    def all(self, *names: str) -> tuple[Option, ...]:
        """Every option of one of these names, as written or with underscores for hyphens."""
        return tuple(one for one in self.given if one.name.replace("_", "-") in names)

    def last(self, *names: str) -> Option | None:
        """The one that counts where an option stands more than once; None where it does not stand there."""
        found = self.all(*names)
        return found[-1] if found else None


_NAMED = re.compile(r"--?[A-Za-z][\w.-]*")


def options_of(words: Sequence[str]) -> Options:
    """
    Read words; a word behind an option is its value unless it begins like an option itself.

    A program's own short options, as in ``python3 -m module``, belong to the program.
    """
    first = next((index for index, word in enumerate(words) if word.startswith("--")), len(words))
    if words and _is_option(words[0]):
        first = 0
    given: list[Option] = []
    stray = []
    open_option = False
    for index in range(first, len(words)):
        word = words[index]
        if _is_option(word):
            name, equals, value = word.lstrip("-").partition("=")
            given.append(Option(name, value if equals else None, index))
            open_option = not equals
        elif open_option:
            given[-1] = given[-1]._replace(value=word)
            open_option = False
        else:
            stray.append(index)
    return Options(tuple(words[:first]), tuple(given), tuple(stray))


def _is_option(word: str) -> bool:
    return bool(_NAMED.fullmatch(word.partition("=")[0]))
