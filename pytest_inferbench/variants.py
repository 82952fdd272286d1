"""
What A and B of a comparison change about a case: ``args.max_num_seqs=64``, ``image=vllm/vllm-openai:v0.10.0``, ``commit=abc123``.

Rule: pure text in, cases out. Both sides keep the case's id, so that their records match. What a server is built from
(``commit=``) is a folder by the time a case is changed: `source_trees` makes it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pytest_inferbench.cases.case import Case, EngineSpec, Scalar
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.redaction import redact_argv, redact_env, redact_text

_V = TypeVar("_V")
BASE = "base"
TREE = "{tree}"
"""In an engine's args, extra args and env: the folder of the source tree that the server is to run from."""
GRAMMAR = (
    "write base, or changes separated by commas: args.NAME=VALUE, env.NAME=VALUE, image=IMAGE, engine=NAME, model=MODEL,"
    " commit=SHA"
)
_KEY = r"(?:image|engine|model|commit|args\.[A-Za-z0-9][\w.-]*|env\.[A-Za-z_]\w*)"
# A comma ends a value only where another change follows: values may have commas.
_NEXT = re.compile(rf",(?=\s*{_KEY}\s*=)")
_CHANGE = re.compile(rf"\s*({_KEY})\s*=(.*)", re.DOTALL)
_WHOLE = ("image", "engine", "model", "commit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """
    Changes of a case; none of them: the case as its suite has it.

    ``args`` and ``env`` are laid over the engine's own; an argument that is None is taken away. With ``engine``, args, extra args
    and image of the suite, which are another engine's, are left out.
    """

    text: str
    image: str | None = None
    engine: str | None = None
    model: str | None = None
    commit: str | None = None
    args: tuple[tuple[str, Scalar | None], ...] = ()
    env: tuple[tuple[str, str], ...] = ()

    @property
    def shown(self) -> str:
        """What was written, secrets taken out."""
        hidden = dict(redact_env(self.env))
        text = self.text
        for name, value in self.env:
            text = text.replace(f"env.{name}={value}", f"env.{name}={hidden[name]}")
        return redact_text(text)


def parse_variant(text: str) -> Variant:
    """
    Read a variant.

    Numbers, ``true`` and ``false`` of args are what they look like; ``"64"`` in quotation marks is text, and ``args.NAME=`` takes
    the argument away.

    Raises:
        ConfigError: it names nothing that can be changed, or something twice.
    """
    if text.strip() == BASE:
        return Variant(text=BASE)
    found: dict[str, str] = {}
    for part in _NEXT.split(text):
        change = _CHANGE.fullmatch(part)
        if change is None:
            raise ConfigError(f"{redact_text(part.strip())!r} changes nothing that is known; {GRAMMAR}")
        name, value = change[1], change[2].strip()
        if name in found:
            raise ConfigError(f"{name} is given twice in {redact_text(text)!r}; keep one")
        if not value and not name.startswith("args."):
            raise ConfigError(f"{name} has no value; {GRAMMAR}")
        found[name] = value
    return Variant(
        text=",".join(f"{name}={value}" for name, value in found.items()),
        **{name: found[name] for name in _WHOLE if name in found},
        args=tuple((name.removeprefix("args."), _scalar(value)) for name, value in found.items() if name.startswith("args.")),
        env=tuple((name.removeprefix("env."), value) for name, value in found.items() if name.startswith("env.")),
    )


def applied(case: Case, variant: Variant, *, tree: Path) -> Case:
    """
    The case with its server changed; its objectives are left out, since two sides are held against each other.

    ``tree`` is the source tree that the server is to run from: it is filled in where the suite says ``{tree}``. With ``commit``,
    the server's PYTHONPATH begins with it and its ``src``, and its PATH with its ``.venv/bin`` and ``bin``, where they are there.

    Raises:
        ConfigError: the change cannot be made to this case.
    """
    engine = case.engine
    if variant.engine is not None and variant.engine != engine.name:
        engine = replace(engine, name=variant.engine, args=(), extra_args=(), image=None)
    if variant.image is not None:
        if engine.launcher == "process":
            raise ConfigError(f"{case.id} runs its server as a process (launcher: process), so image= changes nothing")
        engine = replace(engine, image=variant.image)
    if variant.commit is not None and engine.in_container:
        raise ConfigError(f"{case.id} runs its server in a container: build an image of the commit, and compare by image=")
    env = _over(engine.env, variant.env)
    if variant.commit is not None:
        env = _over(env, _paths(tree, dict(env)))
    args = tuple(each for each in _over(engine.args, variant.args) if each not in _taken_away(variant))
    engine = _in_tree(replace(engine, args=args, env=env), str(tree))
    return replace(case, engine=engine, model=variant.model or case.model, slo=(), expected_miss=None)


def what_differs(old: Case, new: Case) -> tuple[str, ...]:
    """What is not alike of two cases' servers, in words: ``engine.args.threads 1 -> 2``; secrets taken out."""
    before, after = dict(_facts(old)), dict(_facts(new))
    names = dict.fromkeys((*before, *after))
    return tuple(
        f"{name} {redact_text(before.get(name, 'not given'))} -> {redact_text(after.get(name, 'not given'))}"
        for name in names
        if before.get(name) != after.get(name)
    )


def uses_tree(case: Case) -> bool:
    """Whether the case says ``{tree}`` somewhere."""
    engine = case.engine
    values = (*(value for _, value in engine.args), *engine.extra_args, *(value for _, value in engine.env))
    return any(isinstance(value, str) and TREE in value for value in values)


def _scalar(text: str) -> Scalar | None:
    if not text:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, str | int | float | bool) else text


def _taken_away(variant: Variant) -> set[tuple[str, Any]]:
    return {(name, None) for name, value in variant.args if value is None}


def _over(old: tuple[tuple[str, _V], ...], new: tuple[tuple[str, _V], ...]) -> tuple[tuple[str, _V], ...]:
    """The pairs with new values in their old places, and what is new at the end."""
    return tuple((dict(old) | dict(new)).items())


def _paths(tree: Path, given: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Where programs and Python look first: into the tree."""
    found = []
    for name, folders in (("PYTHONPATH", (tree, tree / "src")), ("PATH", (tree / ".venv" / "bin", tree / "bin"))):
        before = given.get(name, os.environ.get(name, ""))
        there = [str(folder) for folder in folders if folder.is_dir()]
        if there:
            found.append((name, os.pathsep.join([*there, *([before] if before else [])])))
    return tuple(found)


def _in_tree(engine: EngineSpec, tree: str) -> EngineSpec:
    return replace(
        engine,
        args=tuple((name, value.replace(TREE, tree) if isinstance(value, str) else value) for name, value in engine.args),
        extra_args=tuple(word.replace(TREE, tree) for word in engine.extra_args),
        env=tuple((name, value.replace(TREE, tree)) for name, value in engine.env),
    )


def _facts(case: Case) -> Iterator[tuple[str, str]]:
    engine = case.engine
    yield "model", case.model
    yield "engine", engine.name
    yield "engine.image", engine.image or "the engine's own"
    yield from ((f"engine.args.{name}", str(value)) for name, value in engine.args)
    yield "engine.extra_args", shlex.join(redact_argv(engine.extra_args))
    yield from ((f"engine.env.{name}", value) for name, value in redact_env(engine.env))
