"""
The ``service`` of a BenchFlow workflow as an engine of a suite.

Rule: what the workflow says of the model, the GPUs and the address becomes the case's own; every other word reaches the server
as it stands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from pytest_inferbench.cases.formats.option_words import Option, Options, options_of
from pytest_inferbench.cases.formats.reading import Reading
from pytest_inferbench.cases.formats.secrets import is_placeholder, without_secrets
from pytest_inferbench.cases.formats.served_by import UNKNOWN, Flags, engine_named, flags_of
from pytest_inferbench.cases.readers import Place
from pytest_inferbench.cases.serving import size_bytes, volume
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.redaction import is_secret_name

FIELDS = (
    *("container_name", "image", "version", "start_mode", "shm_size", "num_gpu_devices"),
    *("port", "env_vars", "volumes", "extra_args"),
)
NOFILE = 65535
"""Open files of every container of BenchFlow's."""
_SPREADS = ("pipeline-parallel-size", "pp-size", "data-parallel-size", "dp-size", "decode-context-parallel-size")


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """
    A server as BenchFlow describes it: ``engine`` as in a suite file, the case's model and ranks, and the address.

    ``served_name`` is what requests call the model, ``container_name`` and ``port`` are where the other half of a workflow looks.
    """

    engine: Mapping[str, Any]
    model: str
    served_name: str | None
    tensor_parallel: int
    gpus: int
    container_name: str | None
    port: int


def service_of(reading: Reading, place: Place) -> Service:
    """
    Read the ``service`` at a place.

    Raises:
        ConfigError: something in it is wrong, or (strict) would silently do something else than it says.
    """
    raw = reading.fields(place, FIELDS, otherwise="BenchFlow would ignore it")
    words = reading.texts((*place, "extra_args"))
    options = options_of(words)
    name = engine_named(reading.text((*place, "image")), options.program)
    flags = flags_of(name)
    engine = {"name": name, **_container(reading, place, raw)}
    _check_words(reading, place, options, in_flags_mode="start_mode" not in engine)
    gpus = reading.whole((*place, "num_gpu_devices"), 1, least=0)
    env, notes = environment(reading, (*place, "env_vars"))
    for note in notes:
        reading.note(note)
    _keep_key_out(reading, place, options, flags, env)
    if env:
        engine["env"] = env
    model, served = _names(reading, place, options, flags)
    if name == UNKNOWN:
        engine |= _any_command(reading, options, words, served or model)
    else:
        engine |= _words(reading, place, options, name)
    return Service(
        engine=engine,
        model=model,
        served_name=served,
        tensor_parallel=_ranks(reading, place, options, flags, gpus),
        gpus=gpus,
        container_name=raw.get("container_name"),
        port=reading.whole((*place, "port"), 8080),
    )


def _container(reading: Reading, place: Place, raw: Mapping[str, Any]) -> dict[str, Any]:
    """The engine's container: its image, how it is started, and what it gets of the host."""
    made: dict[str, Any] = {
        "image": f"{reading.text((*place, 'image'))}:{reading.text((*place, 'version'))}",
        "shm_size": _size(reading, (*place, "shm_size"), "15g"),
        "ulimits": {"nofile": NOFILE},
    }
    if "volumes" in raw:
        made["volumes"] = volumes_of(reading, (*place, "volumes"))
    mode = reading.text((*place, "start_mode"), "flags")
    if mode not in ("flags", "command"):
        reading.refuse(f"must be flags or command, not {mode!r}; BenchFlow would take it for command", (*place, "start_mode"))
    if mode != "flags":
        made["start_mode"] = "command"
    for field in ("container_name", "port"):
        if field in raw:
            reading.note(f"service.{field} is not carried over: the launcher chooses it")
    return made


def environment(reading: Reading, place: Place) -> tuple[dict[str, str], tuple[str, ...]]:
    """
    The environment at a place without its secrets, and notes about those.

    Raises:
        ConfigError: it is no object, or a value is neither text nor a number.
    """
    given = {} if reading.at(place) is None else reading.at(place)
    if not isinstance(given, dict):
        raise reading.error("must hold names and values", place)
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            reading.refuse("an environment variable is text; BenchFlow would hand on what Python prints", (*place, name))
    return without_secrets({name: str(value) for name, value in given.items()})


def volumes_of(reading: Reading, place: Place) -> list[str]:
    """
    The volumes at a place; read and write where no mode is given, as container engines have it.

    Raises:
        ConfigError: one is none.
    """
    found = []
    for index, text in enumerate(reading.texts(place)):
        full = f"{text}:rw" if text.count(":") == 1 else text
        try:
            volume(full)
        except ConfigError as error:
            raise reading.error(error.problem, (*place, index)) from error
        found.append(full)
    return found


def _size(reading: Reading, place: Place, default: str) -> str:
    text = reading.text(place, default)
    try:
        size_bytes(text)
    except ConfigError as error:
        raise reading.error(error.problem, place) from error
    return text


def _check_words(reading: Reading, place: Place, options: Options, *, in_flags_mode: bool) -> None:
    args = (*place, "extra_args")
    if in_flags_mode:
        for index, _ in enumerate(options.program):
            raise reading.error("is no option; with start_mode flags the image's entrypoint gets options only", (*args, index))
    elif not options.program:
        raise reading.error("names no command, which start_mode command needs", args)
    for index in options.stray:
        raise reading.error("belongs to no option; the server would refuse it, or take it for something else", (*args, index))
    port = options.last("port")
    if in_flags_mode and port is not None:
        reading.refuse(
            "is given here and as service.port; the server would take this one, and the client the other", (*args, port.position)
        )


def _names(reading: Reading, place: Place, options: Options, flags: Flags) -> tuple[str, str | None]:
    args = (*place, "extra_args")
    model = options.last(*flags.model)
    if model is None or not model.value:
        raise reading.error(f"names no model; give --{flags.model[0]}", args)
    for name in (*flags.model, *flags.name, *flags.ranks):
        repeated = options.all(name)
        if len(repeated) > 1:
            reading.refuse(f"--{name} is given twice; the server would take the last one", (*args, repeated[-1].position))
    served = options.last(*flags.name) if flags.name else None
    return model.value, served.value if served else None


def _ranks(reading: Reading, place: Place, options: Options, flags: Flags, gpus: int) -> int:
    given = options.last(*flags.ranks)
    place_of = place if given is None else (*place, "extra_args", given.position)
    if given is not None and not (given.value or "").isdecimal():
        raise reading.error(f"--{given.name} must be a whole number, not {given.value!r}", place_of)
    ranks = int(given.value or 1) if given else 1
    others = options.all(*_SPREADS)
    if prod(int(one.value or 1) for one in others if (one.value or "").isdecimal()) > 1:
        raise reading.error(
            f"--{others[0].name} spreads the server over more GPUs than tensor_parallel says, which no case here can",
            (*place, "extra_args", others[0].position),
        )
    if gpus and ranks != gpus:
        wrong = "cannot start" if ranks > gpus else f"leaves {gpus - ranks} of them idle"
        said = f"--{given.name} is {ranks}" if given else "no option spreads the model"
        reading.refuse(f"is {gpus} and {said}: the server {wrong}; make them equal", (*place, "num_gpu_devices"))
    return ranks


def _keep_key_out(reading: Reading, place: Place, options: Options, flags: Flags, env: dict[str, str]) -> None:
    key = options.last("api-key")
    if key is None:
        return
    if flags.key_env is None:
        raise reading.error("--api-key: a command line is readable by everybody", (*place, "extra_args", key.position))
    env[flags.key_env] = f"${{{flags.key_env}}}"
    filled = "is to be filled in" if is_placeholder(key.value or "") else "is a secret and is not taken over"
    reading.note(f"the server's --api-key {filled}: it is read from the environment variable {flags.key_env}")


def _words(reading: Reading, place: Place, options: Options, name: str) -> dict[str, Any]:
    """The rest of the command line: as options where each stands once, else as words."""
    flags = flags_of(name)
    taken = {*flags.model, *flags.name, *flags.ranks, *flags.address, *flags.always, "api-key", "revision"}
    rest = [one for one in options.given if one.name.replace("_", "-") not in taken]
    for one in rest:
        if one.value and is_secret_name(one.name, one.value):
            raise reading.error(f"--{one.name}: a command line is readable by everybody", (*place, "extra_args", one.position))
    for one in options.all(*flags.address):
        reading.note(f"--{one.name} is not carried over: the launcher decides where the server listens")
    revision = options.last("revision")
    made: dict[str, Any] = {} if revision is None else {"revision": revision.value}
    if rest and max(Counter(one.name for one in rest).values()) == 1:
        return made | {"args": {one.name: one.value for one in rest}}
    return made | ({"args": [_spelled(one) for one in rest]} if rest else {})


def _any_command(reading: Reading, options: Options, words: tuple[str, ...], served: str) -> dict[str, Any]:
    """An engine that is unknown here gets its words as they are, the port in place of the one written."""
    reading.note("the engine is unknown here: its command is run as it stands, and lengths are estimated without its tokenizer")
    port = options.last("port")
    said: list[str] = list(words)
    if port is not None:
        said[port.position : port.position + (1 if "=" in words[port.position] else 2)] = ["--port", "{port}"]
    else:
        said += ["--port", "{port}"]
    made: dict[str, Any] = {"args": {"served_name": served}, "extra_args": said}
    if not options.program:
        made["start_mode"] = "flags"
    return made


def _spelled(option: Option) -> str:
    return f"--{option.name}" if option.value is None else f"--{option.name}={option.value}"
