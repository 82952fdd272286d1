"""
What the recipes of engines have in common: a recipe is what differs from engine to engine, and everything else happens here.

Rule: nothing is started, pulled or asked. A recipe says nothing about GPUs on the command line: the launcher shows the server
only those that it may use.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_inferbench.cases.case import Case, Container, EngineSpec
from pytest_inferbench.engines import models
from pytest_inferbench.engines.arguments import Spelling, flags, reject_reserved, seconds_argument
from pytest_inferbench.engines.engine import HttpStep, ModelFiles, ServerSpec
from pytest_inferbench.engines.mounts import Mounted, mounted_hub_or_folder
from pytest_inferbench.engines.references import referenced
from pytest_inferbench.errors import ConfigError, EngineError

HOST_OF_PROCESS = "127.0.0.1"
HOST_IN_CONTAINER = "0.0.0.0"  # noqa: S104 - a container has interfaces of its own; only the launcher decides what is published
HUGGING_FACE = "/root/.cache/huggingface"
"""Where the images keep what Hugging Face's tools cache, unless they say otherwise."""
# Ranks of one server, and workers that load weights, talk through it; container engines give 64 MiB unless asked.
SHM_BYTES = 16 << 30
READY_TIMEOUT_S = 600.0
# A model that is not in the cache is downloaded first.
DOWNLOAD_TIMEOUT_S = 3600.0
OFFLINE = (("HF_HUB_OFFLINE", "1"), ("TRANSFORMERS_OFFLINE", "1"))

PORT = "the launcher picks a free port"
HOST = "the launcher decides where the server listens"
MODEL = "it is the case's model"
TENSOR_PARALLEL = "it is the case's tensor_parallel"
REVISION = "say it as the engine's revision"

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What a recipe makes the words of a server from."""

    model: ModelFiles
    host: str
    tensor_parallel: int
    engine: EngineSpec

    def pinned(self, flag: str) -> tuple[str, ...]:
        """The model's revision behind its flag, where it is known."""
        return () if self.model.revision is None else (flag, self.model.revision)


def _nothing(_serving: Serving) -> Pairs:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """
    An engine as data and a few small functions. It is an `Engine`.

    Attributes:
        name: what suites call it.
        title: what people call it.
        program: the first words of its command line.
        words: those that follow, before the flags that the suite gives.
        variables: its settings that are environment variables.
        env: of every server, unless the suite says otherwise.
        reserved: flags that are decided elsewhere, and where.
        spelling: how its flags are written.
        install: how to get it on this machine; None: it is at home in containers only.
        image: its own; None: the suite must name one.
        entrypoint: what a container is started with; None: with the image's own, which gets the words of the server, and
            ``image_runs_program`` says whether these begin after the program.
        cache_folder: of Hugging Face's tools in the image.
        pins: it can be told a revision of the model.
        pins_unasked: it is told the one in the cache, too, where the suite asks for none.
        spreads: it can spread a model over several GPUs.
        reset_needs: the variable without which ``cache_reset`` is not there.
        key_env: the variable that it takes its bearer key from.
        named_as_loaded: requests must name the model as the server loaded it, its revision behind an ``@``.
        find_program: finds the program on this machine, where it is no command.
        find_model: finds the model, where it is none of the hub's own format.
    """

    name: str
    title: str
    program: tuple[str, ...]
    words: Callable[[Serving], tuple[str, ...]]
    variables: Callable[[Serving], Pairs] = _nothing
    env: Pairs = ()
    reserved: Mapping[str, str] = field(default_factory=dict)
    spelling: Spelling = field(default_factory=Spelling)
    install: str | None = None
    image: str | None = None
    entrypoint: tuple[str, ...] | None = None
    image_runs_program: bool = True
    cache_folder: str = HUGGING_FACE
    shm_bytes: int | None = SHM_BYTES
    ready_path: str = "/health"
    ready_timeout_s: float = READY_TIMEOUT_S
    metrics_path: str | None = "/metrics"
    metric_names: str | None = None
    version_path: str | None = None
    cache_reset: HttpStep | None = None
    reset_needs: tuple[str, str] | None = None
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    cache_body: Mapping[str, Any] = field(default_factory=dict)
    key_env: str | None = None
    pins: bool = True
    pins_unasked: bool = True
    spreads: bool = True
    named_as_loaded: bool = False
    find_program: Callable[[], tuple[str, ...]] | None = None
    find_model: Callable[[Case], Mounted] | None = None

    def server(self, case: Case) -> ServerSpec:
        """
        The server that a case needs, as a process of this machine or in a container.

        Raises:
            ConfigError: the suite says what the case says, or what this engine cannot.
            EngineError: the engine or the model is not on this machine where it must be; says what to install.
        """
        engine = case.engine
        self.refuse(case)
        mounted = self._model(case)
        serving = Serving(
            model=mounted.model,
            host=HOST_IN_CONTAINER if engine.in_container else HOST_OF_PROCESS,
            tensor_parallel=case.tensor_parallel,
            engine=engine,
        )
        env = over(
            (*self.env, *self.variables(serving), *(OFFLINE if engine.offline else ())),
            engine.env,
        )
        return ServerSpec(
            key=case.server_key,
            engine=self.name,
            argv=(*self._start(engine), *self.words(serving), *flags(engine, self.spelled()), *engine.extra_args),
            env=env,
            model=mounted.model,
            ready_path=self.ready_path,
            metrics_path=self.metrics_path,
            version_path=self.version_path,
            ready_timeout_s=seconds_argument(engine, "ready_timeout_s", default=self._patience_s(mounted.model)),
            extra_body=dict(self.extra_body),
            cache_body=dict(self.cache_body),
            api_key_env=referenced(dict(engine.env).get(self.key_env)) if self.key_env else None,
            launcher="docker" if engine.in_container else "process",
            image=self._image(engine),
            entrypoint=self.entrypoint if engine.in_container and engine.container.start_mode is None else None,
            container=self._container(engine, mounted) if engine.in_container else Container(),
            share=engine.share,
            gpus=case.gpus,
            cache_reset=self._reset(env),
            metric_names=self.metric_names,
        )

    def found(self) -> tuple[str, ...]:
        """
        The program on this machine: beside this Python, else on PATH.

        Raises:
            EngineError: it is not there; says how to get it.
        """
        if self.install is None:
            raise EngineError(f"{self.title} runs in containers only: name its image, or write launcher: docker")
        return self.find_program() if self.find_program else (command(self.program[0], self.install), *self.program[1:])

    def refuse(self, case: Case) -> None:
        """
        Refuse what this engine cannot, and what is decided elsewhere.

        Raises:
            ConfigError: the case asks for such a thing.
        """
        reject_reserved(case.engine, self.reserved)
        if case.engine.revision is not None and not self.pins:
            raise ConfigError(f"{self.title} cannot be told a revision of a model", field="engine.revision")
        if case.tensor_parallel != 1 and not self.spreads:
            raise ConfigError(f"{self.name} serves with tensor_parallel 1, not {case.tensor_parallel}", field="tensor_parallel")

    def _model(self, case: Case) -> Mounted:
        engine = case.engine
        if self.find_model is not None:
            return self.find_model(case)
        if engine.in_container:
            mounted = mounted_hub_or_folder(case.model, engine, cache_folder=self.cache_folder)
        else:
            mounted = Mounted(model=models.hub_or_folder(case.model, revision=engine.revision, offline=engine.offline))
        model = mounted.model
        if engine.revision is None and not self.pins_unasked:
            model = replace(model, revision=None)
        if self.named_as_loaded:
            name = model.load_from if model.revision is None else f"{model.load_from}@{model.revision}"
            model = replace(model, load_from=name, served_name=name)
        return replace(mounted, model=model)

    def _start(self, engine: EngineSpec) -> tuple[str, ...]:
        """The words before the recipe's own: the program, unless the image's or the recipe's entrypoint stands for it."""
        if not engine.in_container:
            return self.found()
        match engine.container.start_mode:
            case "command":
                return self.program
            case "flags":
                stands = self.image_runs_program
            case None:
                stands = self.image_runs_program or self.entrypoint is not None
        return () if stands else self.program

    def _image(self, engine: EngineSpec) -> str | None:
        if not engine.in_container:
            return None
        image = engine.image or self.image
        if image is None:
            raise ConfigError(f"{self.title} has no image of its own here; name one", field="engine.image")
        return image

    def _container(self, engine: EngineSpec, mounted: Mounted) -> Container:
        own = engine.container
        return replace(
            own,
            volumes=(*own.volumes, *mounted.volumes),
            shm_size_bytes=own.shm_size_bytes or self.shm_bytes,
        )

    def spelled(self) -> Spelling:
        """How its flags are written; those that are this plugin's own are not written at all."""
        return replace(self.spelling, silent=(*self.spelling.silent, "ready_timeout_s"))

    def _patience_s(self, model: ModelFiles) -> float:
        downloads = models.is_hub_name(model.load_from) and models.hub_snapshot(model.load_from, model.revision) is None
        return max(self.ready_timeout_s, DOWNLOAD_TIMEOUT_S) if downloads else self.ready_timeout_s

    def _reset(self, env: Pairs) -> HttpStep | None:
        there = self.reset_needs is None or self.reset_needs in env
        return self.cache_reset if there else None


def command(name: str, install: str) -> str:
    """
    A program of this machine: the one beside this Python, else the one on PATH.

    Raises:
        EngineError: there is none; says how to get it.
    """
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise EngineError(f"the command {name!r} is not on this machine; install it: {install}")
    return found


def over(defaults: Pairs, own: Pairs) -> Pairs:
    """The default variables that the suite does not set itself, and then what it sets."""
    given = dict(own)
    return (*(pair for pair in defaults if pair[0] not in given), *own)
