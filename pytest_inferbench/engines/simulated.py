"""
The simulated model server in an engine's place: the same paths, fields and metric names, and no hardware.

Rule: nothing of the engine or of the model need be on this machine; what cannot be asked of the engine cannot be asked of its
simulation either.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from pytest_inferbench.cases.case import Case, EngineSpec, Simulation
from pytest_inferbench.engines import models
from pytest_inferbench.engines.arguments import Spelling, flags, seconds_argument
from pytest_inferbench.engines.engine import Engine, HttpStep, ModelFiles, ServerSpec, TokenizerRef
from pytest_inferbench.engines.llamacpp import IN_CONTAINER as LLAMACPP
from pytest_inferbench.engines.recipe import Pairs, Recipe

# The program is one of its own, which no stage imports; it is started by name.
PROGRAM = ("-m", "pytest_inferbench.simulator")
READY_TIMEOUT_S = 120.0
# A served start-up may be simulated at its full length.
STARTUP_LONGEST_S = 3600.0
_RESET = HttpStep(method="POST", path="/reset_prefix_cache")
# Whose manners an engine has that has no recipe: any OpenAI-compatible server's.
_UNSPELLED = Spelling(silent=("ready_timeout_s",))
_ANY = Recipe(name="vllm", title="an OpenAI-compatible server", program=(), words=lambda _: (), extra_body={"ignore_eos": True})


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedEngine:
    """
    An engine's simulation. It is an `Engine`.

    Attributes:
        like: the engine that it behaves like.
        simulation: how.
    """

    like: Engine
    simulation: Simulation

    @property
    def name(self) -> str:
        """That of the engine that it behaves like."""
        return self.like.name

    def server(self, case: Case) -> ServerSpec:
        """
        The simulated server that takes the place of the case's own.

        Raises:
            ConfigError: the suite says what this engine cannot, or what is decided elsewhere.
        """
        manners = self._manners()
        manners.refuse(case)
        name = models.served_name(case.model)
        return ServerSpec(
            key=case.server_key,
            engine=self.name,
            argv=self._argv(case, name),
            env=_PLAIN,
            model=ModelFiles(load_from=case.model, served_name=name, tokenizer=_TOKENIZER),
            ready_path=manners.ready_path,
            metrics_path=manners.metrics_path or "/metrics",
            version_path="/version",
            ready_timeout_s=self._patience_s(case.engine),
            extra_body=dict(manners.extra_body),
            cache_body=dict(manners.cache_body),
            gpus=case.gpus,
            cache_reset=manners.cache_reset or _RESET,
            metric_names=manners.metric_names,
            simulated=True,
        )

    def _patience_s(self, engine: EngineSpec) -> float:
        """The suite's own limit, which may be that of a download: never longer than what a simulation can take."""
        longest_s = READY_TIMEOUT_S + STARTUP_LONGEST_S * min(self.simulation.startup_scale, 1.0)
        return min(seconds_argument(engine, "ready_timeout_s", default=longest_s), longest_s)

    def _manners(self) -> Recipe:
        if isinstance(self.like, Recipe):
            return self.like
        return LLAMACPP if self.like.name == LLAMACPP.name else _ANY

    def _argv(self, case: Case, name: str) -> tuple[str, ...]:
        words = [sys.executable, *PROGRAM, "--hardware", case.hardware, "--engine", self.name, "--model", case.model]
        words += ["--tp", str(case.tensor_parallel), "--served-model-name", name, "--port", "{port}"]
        words += ["--startup-scale", f"{self.simulation.startup_scale:g}"]
        words += [word for fault in self.simulation.faults for word in ("--fault", fault)]
        own = self._own_words(case.engine)
        return (*words, "--", *own) if own else tuple(words)

    def _own_words(self, engine: EngineSpec) -> tuple[str, ...]:
        """The engine's own flags, which decide how it batches; those of a command that we know nothing of say nothing."""
        if isinstance(self.like, Recipe):
            return (*flags(engine, self.like.spelled()), *engine.extra_args)
        return (*flags(engine, _UNSPELLED), *engine.extra_args) if self.like.name == LLAMACPP.name else ()


# The server's own, whatever the model's is: a word is a token.
_TOKENIZER = TokenizerRef(kind="json", path=Path(__file__).parents[1] / "simulator" / "server" / "tokenizer.json")
# Nothing that the suite gives the engine: secrets are for the real one, and need not be here.
_PLAIN: Pairs = ()


def as_asked(engine: Engine, case: Case) -> Engine:
    """The engine of a case: its simulation, where the case asks for that."""
    return engine if case.simulation is None else SimulatedEngine(like=engine, simulation=case.simulation)
