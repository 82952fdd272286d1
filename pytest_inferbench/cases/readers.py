"""
YAML, TOML and JSON files as plain data that remembers on which line each field was written.

Rule: a file is read as text and data, never as code, whatever it holds; anything wrong with it is a `ConfigError` with file and
line. YAML's own surprises (booleans like ``NO``, octal ``010``, ``1:30``) are refused here where they change a value silently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_inferbench.errors import ConfigError

if TYPE_CHECKING:
    import yaml

FILE_BYTES_MAX = 4 * 2**20
NODES_MAX = 200_000
DEPTH_MAX = 40

Place = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_OCTAL = re.compile(r"[-+]?0[0-7_]+")
_BOOLEANS_IN_WORDS = re.compile(r"(?i)yes|no|on|off")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """
    The data of one file, or of a marker (``flat``: its fields are written side by side).

    ``lines`` maps the place of a field (keys and indexes from the top) to its line, from 1.
    """

    file: str
    data: dict[str, Any]
    lines: Mapping[Place, int] = field(default_factory=dict)
    flat: bool = False

    def line_of(self, place: Place) -> int | None:
        """The line of a field, or of the nearest field around it that is known."""
        for end in range(len(place), -1, -1):
            line = self.lines.get(place[:end])
            if line is not None:
                return line
        return None


def read_document(path: Path) -> Document:
    """
    Read a ``.yaml``, ``.yml``, ``.toml`` or ``.json`` file whose top level is a mapping.

    Raises:
        ConfigError: it is not there, not UTF-8, empty, too large, or not of its format; names the line.
    """
    return document_of(read_text(path), str(path), path.suffix)


def document_of(text: str, file: str, suffix: str, *, last_wins: bool = False) -> Document:
    """
    Read text as what ``suffix`` says: ``.yaml``, ``.yml``, ``.toml`` or ``.json``; ``file`` is for messages.

    With ``last_wins`` a field that stands twice in JSON has its last value, as other readers have it; else it is an error.

    Raises:
        ConfigError: it is empty, or not of that format; names the line.
    """
    if not text.strip():
        raise _empty(file)
    match suffix.lower():
        case ".yaml" | ".yml":
            return _read_yaml(text, file)
        case ".toml":
            return _read_toml(text, file)
        case ".json":
            return _read_json(text, file, last_wins=last_wins)
        case other:
            raise ConfigError(
                f"{other or 'no ending'!r} is not a format of suite files; use .yaml, .yml, .toml or .json", file=file
            )


def read_text(path: Path) -> str:
    """
    The text of a file, its line ends as everywhere.

    Raises:
        ConfigError: it is not there, too large, or not UTF-8.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(FILE_BYTES_MAX + 1)
    except OSError as exc:
        raise ConfigError(f"cannot be read: {exc.strerror}", file=str(path)) from exc
    if len(raw) > FILE_BYTES_MAX:
        raise ConfigError(f"is larger than {FILE_BYTES_MAX // 2**20} MiB, which no suite needs", file=str(path))
    try:
        # An editor's byte-order mark is no part of the text; universal line ends as everywhere.
        return raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as exc:
        line = raw.count(b"\n", 0, exc.start) + 1
        raise ConfigError(
            f"is not UTF-8 text (byte 0x{raw[exc.start]:02x}); save it as UTF-8", file=str(path), line=line
        ) from exc


def _empty(file: str) -> ConfigError:
    return ConfigError("the file is empty; a suite needs at least hardware, engine and matrix", file=file, line=1)


def _mapping(data: object, file: str) -> dict[str, Any]:
    if data is None:
        raise _empty(file)
    if not isinstance(data, dict):
        raise ConfigError(f"the top level must be fields such as 'suite: name', not {_kind(data)}", file=file, line=1)
    return data


def _kind(data: object) -> str:
    if isinstance(data, list):
        return "a list"
    return "text" if isinstance(data, str) else "a single value"


# --- YAML -----------------------------------------------------------------------------------------------------------------


def _read_yaml(text: str, file: str) -> Document:
    import yaml  # noqa: PLC0415 - collecting Python suites needs no YAML

    try:
        loader = yaml.SafeLoader(text)
        try:
            root = loader.get_single_node()
            reader = _YamlReader(loader, file)
            data = None if root is None else reader.value(root, ())
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as exc:
        raise ConfigError(_yaml_problem(exc), file=file, line=_yaml_line(exc)) from exc
    except yaml.reader.ReaderError as exc:
        line = text.count("\n", 0, int(exc.position)) + 1
        raise ConfigError("holds a control character, which YAML forbids", file=file, line=line) from exc
    except RecursionError as exc:
        raise ConfigError(f"is nested more than {DEPTH_MAX} levels deep", file=file) from exc
    return Document(file=file, data=_mapping(data, file), lines=reader.lines)


def _yaml_problem(exc: yaml.MarkedYAMLError) -> str:
    problem = exc.problem or "is not YAML"
    if "'\\t'" in problem:
        return "not YAML: a tab cannot indent or start a value; use spaces"
    if "unexpected end of stream" in problem:
        return "not YAML: the quote opened here is never closed"
    context = f" ({exc.context})" if exc.context else ""
    return f"not YAML: {problem}{context}"


def _yaml_line(exc: yaml.MarkedYAMLError) -> int | None:
    opened = "unexpected end of stream" in (exc.problem or "")
    mark = (exc.context_mark if opened else exc.problem_mark) or exc.problem_mark or exc.context_mark
    return mark.line + 1 if mark else None


class _YamlReader:
    """Turns composed nodes into data, and notes the line of each."""

    def __init__(self, loader: yaml.SafeLoader, file: str) -> None:
        self.lines: dict[Place, int] = {}
        self._loader = loader
        self._file = file
        self._nodes = 0
        self._checked: set[int] = set()

    def value(self, node: Any, place: Place) -> Any:
        """The plain data of a node that stands at ``place``."""
        self._nodes += 1
        # Aliases of aliases can stand for billions of values in a few lines.
        if self._nodes > NODES_MAX or len(place) > DEPTH_MAX:
            limit = f"{NODES_MAX} values" if self._nodes > NODES_MAX else f"{DEPTH_MAX} levels"
            raise self._error(node, place, f"holds more than {limit}, aliases counted where they are used")
        self.lines.setdefault(place, node.start_mark.line + 1)
        match node.id, node.tag:
            case "mapping", tag if tag == f"{_TAG}map":
                return dict(self._items(node, place))
            case "sequence", tag if tag == f"{_TAG}seq":
                return [self.value(child, (*place, index)) for index, child in enumerate(node.value)]
            case "scalar", _:
                return self._scalar(node, place)
            case _:
                raise self._error(node, place, f"tag {node.tag!r} has no meaning in a suite")

    def _items(self, node: Any, place: Place) -> Iterator[tuple[str, Any]]:
        self._refuse_duplicates(node, place)
        self._loader.flatten_mapping(node)
        for key_node, value_node in node.value:
            key = self._key(key_node, place)
            self.lines[*place, key] = key_node.start_mark.line + 1
            yield key, self.value(value_node, (*place, key))

    def _refuse_duplicates(self, node: Any, place: Place) -> None:
        # Once only: flattening a mapping with `<<` puts the keys it overrides beside its own, and an alias brings it here again.
        if id(node) in self._checked:
            return
        self._checked.add(id(node))
        seen: dict[str, int] = {}
        for key_node, _ in node.value:
            if key_node.id != "scalar" or key_node.tag == f"{_TAG}merge":
                continue
            if key_node.value in seen:
                first = seen[key_node.value]
                raise self._error(key_node, (*place, key_node.value), f"is given twice, first on line {first}; keep one")
            seen[key_node.value] = key_node.start_mark.line + 1

    def _key(self, node: Any, place: Place) -> str:
        if node.id != "scalar" or node.tag != f"{_TAG}str":
            shown = f"{node.value!r}" if node.id == "scalar" else f"a {node.id}"
            raise self._error(node, place, f"{shown} cannot be the name of a field; put quotes round it if it is one")
        return str(node.value)

    def _scalar(self, node: Any, place: Place) -> Any:
        written, kind = str(node.value), node.tag.removeprefix(_TAG)
        # What stands in an environment may be a secret.
        shown = "the value" if "env" in place else written[:40]
        if kind == "int" and _OCTAL.fullmatch(written):
            raise self._error(node, place, f"{shown} is an octal number to YAML; write it without the leading 0")
        if kind in ("int", "float") and ":" in written:
            raise self._error(node, place, f"{shown} is a base-60 number to YAML; write 1m30s, or put quotes round it")
        if kind == "bool" and _BOOLEANS_IN_WORDS.fullmatch(written):
            raise self._error(node, place, f"{shown} is true or false to YAML; put quotes round it")
        try:
            return self._loader.construct_object(node)
        except ValueError as exc:
            raise self._error(node, place, f"{shown} cannot be read as {kind}") from exc

    def _error(self, node: Any, place: Place, problem: str) -> ConfigError:
        return ConfigError(problem, file=self._file, line=node.start_mark.line + 1, field=dotted(place) or None)


# --- TOML and JSON: their parsers keep no lines, so keys are looked up in the text -------------------------------------------


def _read_toml(text: str, file: str) -> Document:
    import tomllib  # noqa: PLC0415 - needed for TOML only

    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        at = re.fullmatch(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", str(exc))
        line = int(at[2]) if at and at[2] else text.rstrip().count("\n") + 1
        raise ConfigError(f"not TOML: {at[1] if at else exc}", file=file, line=line) from exc
    except ValueError as exc:
        raise ConfigError("not TOML: a number or date in it cannot be read", file=file) from exc
    except RecursionError as exc:
        raise ConfigError("is nested too deeply", file=file) from exc
    return Document(file=file, data=data, lines=_lines_of_keys(data, text, r"""(?m)(?:^|[\[.{{,])\s*["']?{key}["']?\s*[=\].]"""))


def _read_json(text: str, file: str, *, last_wins: bool) -> Document:
    import json  # noqa: PLC0415 - needed for JSON only

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key, value in pairs:
            if key in data and not last_wins:
                raise ConfigError("is given twice; keep one", file=file, line=_line_of_last(key, text), field=key)
            data[key] = value
        return data

    try:
        data = json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as exc:
        raise ConfigError(f"not JSON: {exc.msg}", file=file, line=exc.lineno) from exc
    except ValueError as exc:
        raise ConfigError("not JSON: a number in it has too many digits", file=file) from exc
    except RecursionError as exc:
        raise ConfigError("is nested too deeply", file=file) from exc
    return Document(file=file, data=_mapping(data, file), lines=_lines_of_keys(data, text, r'"{key}"\s*:'))


def _line_of_last(key: str, text: str) -> int:
    return text.count("\n", 0, max(text.rfind(f'"{key}"'), 0)) + 1


def _lines_of_keys(data: dict[str, Any], text: str, pattern: str) -> dict[Place, int]:
    lines: dict[Place, int] = {(): 1}
    positions: dict[Place, int] = {(): 0}
    latest = 0
    for place in _places(data, ()):
        key, start = place[-1], positions.get(place[:-1], 0)
        if isinstance(key, int):
            # An item of a list stands after all that its predecessors hold.
            positions[place] = max(start, latest) if key else start
            continue
        found = re.compile(pattern.format(key=re.escape(key))).search(text, start)
        if found:
            positions[place] = latest = found.end()
            lines[place] = text.count("\n", 0, found.start() + len(found[0]) - len(found[0].lstrip())) + 1
    return lines


def _places(data: object, place: Place) -> Iterator[Place]:
    pairs: Iterator[tuple[str | int, object]] = iter(())
    if isinstance(data, dict):
        pairs = iter(data.items())
    elif isinstance(data, list):
        pairs = iter(enumerate(data))
    for key, value in pairs:
        yield (*place, key)
        yield from _places(value, (*place, key))


def dotted(place: Place) -> str:
    """A place as people write it: ``matrix.traffic[1]``."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
