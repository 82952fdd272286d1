"""
Command lines that stand in a file: which commands there are, and what options they give.

Rule: nothing is run and no shell is asked. Variables are filled in from the file's own assignments and from nowhere else, so that
the same file means the same everywhere; what only a shell can know is an error.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from pytest_inferbench.cases.catalogue import did_you_mean
from pytest_inferbench.cases.formats.format import Source
from pytest_inferbench.errors import ConfigError

_ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Za-z_]\w*)=(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)(?::-([^}]*))?\}|([A-Za-z_]\w*))")
_COMPOUND = ("for", "while", "until", "if", "case", "do", "then", "else", "done", "fi", "esac", "function", "{", "}")
_ENDS = frozenset({";", "&&", "||", "&"})
_OUTPUT = re.compile(r"[<>|&]+|[|&;()<>]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command of a file: its words, what is set for it alone or before it, and the line it begins on."""

    words: tuple[str, ...]
    env: Mapping[str, str]
    line: int
    source: Source

    @property
    def program(self) -> str:
        """The name of what is run, without its folder."""
        return PurePath(self.words[0]).name

    def line_of(self, text: str) -> int:
        """The line on which a text first stands in the command; the command's own where it does not."""
        lines = self.source.text.splitlines()
        word = re.compile(rf"(?<![\w-]){re.escape(text)}(?![\w-])")
        for number in range(self.line, len(lines) + 1):
            if word.search(lines[number - 1]):
                return number
            if not lines[number - 1].rstrip().endswith("\\"):
                break
        return self.line

    def error(self, problem: str, option: str | None = None) -> ConfigError:
        """A `ConfigError` that points to an option, or to the command."""
        line = self.line_of(option) if option else self.line
        return ConfigError(problem, file=self.source.path, line=line, field=option)


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with those that a backslash continues joined to them; each with the number of its first, from 1."""
    start, parts = 0, list[str]()
    for number, line in enumerate(text.splitlines(), start=1):
        start = start if parts else number
        if line.rstrip().endswith("\\") and not line.lstrip().startswith("#"):
            parts.append(line.rstrip()[:-1])
            continue
        yield start, " ".join([*parts, line])
        parts = []
    if parts:
        yield start, " ".join(parts)


def commands(source: Source, mine: Callable[[Sequence[str]], bool]) -> tuple[tuple[Command, ...], tuple[str, ...]]:
    """
    The commands of a file that are ``mine``, by their words, and a note about each that is not.

    Raises:
        ConfigError: one of mine cannot be read without a shell, or there is none.
    """
    found, notes, env, compound = list[Command](), list[str](), dict[str, str](), False
    for line, text in logical_lines(source.text):
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        compound = compound or text.split(maxsplit=1)[0] in _COMPOUND
        for words in _split(text, source, line, env):
            own, rest = _assignments(words)
            if not rest:
                env.update(own)
            elif mine(rest):
                if compound:
                    raise _unreadable("stands in a loop or a condition, which is not run; write each command out", source, line)
                found.append(Command(words=tuple(rest), env={**env, **own}, line=line, source=source))
            elif not compound and PurePath(rest[0]).name not in ("set", "export", "cd", "echo"):
                notes.append(f"{PurePath(rest[0]).name} on line {line} is not run")
    if not found:
        raise ConfigError("holds no command that can be read", file=source.path)
    return tuple(found), tuple(notes)


def _split(text: str, source: Source, line: int, env: Mapping[str, str]) -> Iterator[list[str]]:
    """The commands of one line as words, without where their output goes."""
    try:
        lexer = shlex.shlex(_without_streams(_filled(text, source, line, env)), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        lexer.commenters = "#"
        words = list(lexer)
    except ValueError as exc:
        raise _unreadable(f"cannot be split into words: {str(exc).lower()}", source, line) from exc
    command, dropped = list[str](), False
    for word in words:
        if word in _ENDS:
            yield from [command] if command else []
            command, dropped = [], False
        elif not dropped and _OUTPUT.fullmatch(word):
            dropped = True
        elif not dropped:
            command.append(word)
    yield from [command] if command else []


def _without_streams(text: str) -> str:
    """The text without the number of a stream in front of where it goes, as in ``2> log``: no word is meant by it."""
    parts = re.split(r"('[^']*'|\"[^\"]*\")", text)
    parts[::2] = [re.sub(r"(?<=\s)[0-9](?=[<>])", "", part) for part in parts[::2]]
    return "".join(parts)


def _filled(text: str, source: Source, line: int, env: Mapping[str, str]) -> str:
    """The text with variables filled in, but for those in single quotes, as a shell does it."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[3]
        if name in env:
            return env[name]
        if match[2] is not None:
            return match[2]
        raise _unreadable(f"${name} is not set in the file; write its value", source, line)

    parts = re.split(r"('[^']*')", text)
    for index in range(0, len(parts), 2):
        if "$(" in parts[index] or "`" in parts[index]:
            raise _unreadable("holds the output of another command, which is not run; write it out", source, line)
        parts[index] = _VARIABLE.sub(value, parts[index])
    return "".join(parts)


def _unreadable(problem: str, source: Source, line: int) -> ConfigError:
    return ConfigError(problem, file=source.path, line=line)


def _assignments(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Assignments in front of a command, and the command."""
    own: dict[str, str] = {}
    rest = list(words[1:] if words[:1] == ["export"] else words)
    while rest and (match := _ASSIGNMENT.fullmatch(rest[0])):
        own[match[1]] = match[2]
        rest.pop(0)
    return own, rest


# --- options ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """
    One option of a tool.

    Attributes:
        names: as they are written, the one that counts first.
        takes: ``value``, ``flag``, or ``values`` (all words up to the next option).
        many: it may stand several times, and each counts.
        aside: it is about the tool's own output or run, not about the load.
        unmeant: why it cannot be carried over; None where it can.
    """

    names: tuple[str, ...]
    takes: str = "value"
    many: bool = False
    aside: bool = False
    unmeant: str | None = None


def value(*names: str, many: bool = False) -> Option:
    """An option with a value."""
    return Option(names=names, many=many)


def flag(*names: str) -> Option:
    """An option without one."""
    return Option(names=names, takes="flag")


def aside(*names: str, takes: str = "value") -> Option:
    """An option about the tool's own output or run."""
    return Option(names=names, takes=takes, many=True, aside=True)


def unmeant(why: str, *names: str, takes: str = "value") -> Option:
    """An option that cannot be carried over."""
    return Option(names=names, takes=takes, many=True, unmeant=why)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """
    A tool's command line.

    Attributes:
        name: what people call it.
        options: all that it has.
        abbreviates: it takes the beginning of an option for the option, as argparse does.
    """

    name: str
    options: tuple[Option, ...]
    abbreviates: bool = False


@dataclass(slots=True, kw_only=True)
class Arguments:
    """What a command gives; ``notes`` gathers what is not carried over."""

    command: Command
    lenient: bool
    given: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def last(self, name: str) -> str | None:
        """The value that counts; None where the option is not there."""
        return self.given[name][-1] if name in self.given else None

    def all(self, name: str) -> list[str]:
        """Every value."""
        return self.given.get(name, [])

    def flag(self, name: str) -> bool:
        """Whether it is there."""
        return name in self.given

    def text(self, name: str) -> str:
        """
        The value of an option that must be there.

        Raises:
            ConfigError: it is not.
        """
        found = self.last(name)
        if found is None:
            raise self.command.error(f"{name} is missing")
        return found

    def number(self, name: str, *, least: float = 0.0) -> float | int | None:
        """
        The value as a number above ``least``, whole ones as such; None where the option is not there.

        Raises:
            ConfigError: it is none.
        """
        found = self.last(name)
        return None if found is None else self.as_number(name, found, least=least)

    def as_number(self, name: str, text: str, *, least: float = 0.0) -> float | int:
        """
        A text as a number above ``least``.

        Raises:
            ConfigError: it is none.
        """
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if not least < number < 1e12:
            raise self.error(name, f"must be a number above {least:g}, not {text!r}")
        return int(number) if number == int(number) else number

    def whole(self, name: str, *, least: int = 1) -> int | None:
        """
        The value as a whole number from ``least``; None where the option is not there.

        Raises:
            ConfigError: it is none.
        """
        found = self.last(name)
        return None if found is None else self.as_whole(name, found, least=least)

    def as_whole(self, name: str, text: str, *, least: int = 1) -> int:
        """
        A text as a whole number from ``least``.

        Raises:
            ConfigError: it is none.
        """
        if not re.fullmatch(r"\d{1,12}", text.strip()) or int(text) < least:
            raise self.error(name, f"must be a whole number from {least}, not {text!r}")
        return int(text)

    def error(self, name: str, problem: str) -> ConfigError:
        """A `ConfigError` that points to an option."""
        return self.command.error(problem, name)

    def refuse(self, name: str, problem: str) -> None:
        """
        Strict: an error. Lenient: a note.

        Raises:
            ConfigError: reading is strict.
        """
        if not self.lenient:
            raise self.error(name, problem)
        self.notes.append(f"{name}: {problem}")


def arguments(command: Command, tool: Tool, *, skip: int, lenient: bool) -> Arguments:
    """
    The options of a command whose first ``skip`` words name the tool.

    Raises:
        ConfigError: an option is unknown, has no value, is given twice or (strict) cannot be carried over.
    """
    known = {name: option for option in tool.options for name in option.names}
    found = Arguments(command=command, lenient=lenient)
    words = list(command.words[skip:])
    asides: list[str] = []
    while words:
        word = words.pop(0)
        name, equals, attached = word.partition("=")
        if not re.fullmatch(r"-{1,2}[A-Za-z].*", name):
            raise command.error(f"{_shown(word)} belongs to no option; {tool.name} refuses it")
        option = known.get(name) or known[_in_full(name, known, tool, found)]
        values = _values(option, words, attached if equals else None, found)
        if option.aside:
            asides.append(name)
        elif option.unmeant is not None:
            found.refuse(name, option.unmeant)
        else:
            _add(found, option, values)
    if asides:
        found.notes.append(f"not carried over, being about {tool.name}'s own run and output: {', '.join(dict.fromkeys(asides))}")
    return found


def _in_full(name: str, known: Mapping[str, Option], tool: Tool, found: Arguments) -> str:
    near = [one for one in known if one.startswith(name)] if tool.abbreviates and name.startswith("--") else []
    if len({known[one].names for one in near}) == 1:
        found.refuse(name, f"is no option; {tool.name} takes it for {near[0]}, of which it is the beginning: write that")
        return near[0]
    raise found.error(name, f"unknown option{did_you_mean(name, known)}; {tool.name} refuses it")


def _values(option: Option, words: list[str], attached: str | None, found: Arguments) -> list[str]:
    name = option.names[0]
    if option.takes == "flag":
        if attached is not None:
            raise found.error(name, "takes no value")
        return [""]
    if attached is not None:
        return [attached]
    values: list[str] = []
    while words and not words[0].startswith("--") and (option.takes == "values" or not values):
        values.append(words.pop(0))
    if not values:
        raise found.error(name, "has no value")
    return values


def _add(found: Arguments, option: Option, values: list[str]) -> None:
    name = option.names[0]
    if name in found.given and not option.many and found.given[name] != values:
        found.refuse(name, "is given twice; the original takes the last one: keep one")
        found.given[name] = values
    elif name in found.given and option.many:
        found.given[name] += values
    else:
        found.given[name] = values


def _shown(word: str) -> str:
    # A stray word may be a key whose option was mistyped.
    return repr(word) if len(word) < 20 else "a word"
