"""
Benchmarks of the Gateway API inference extension: a textproto of ``Benchmarks`` as suites, one each.

A model server with one replica behind a plain Service is a server that this machine can start, and becomes an ordinary suite.
What has replicas or a gateway becomes a suite with a field ``cluster``: it is collected, and its manifests are made
(`cases.formats.gateway_manifests`).

Rule: what the original's charts give the server and the load generator stands here as constants, with the reason of each; nothing
else is made up. The load generator draws rows of a file, sends them at Poisson times at each rate, and asks for the tokens of the
row's own answer.
"""

from __future__ import annotations

import re
from math import ceil
from pathlib import Path
from typing import Any

from pytest_inferbench.cases.case import Origin
from pytest_inferbench.cases.formats.format import SHAREGPT, Imported, Source
from pytest_inferbench.cases.formats.gie_inheritance import Benchmark, field_line, read_benchmarks
from pytest_inferbench.cases.formats.gie_messages import plain_values
from pytest_inferbench.cases.formats.gie_rates import request_rates
from pytest_inferbench.errors import ConfigError

KIND = "gateway-api"
"""What a case's cluster is called."""

SERVER_ARGS = {"max_num_seqs": 2048, "max_model_len": 4096, "compilation_config": 3}
"""Options of vLLM that the original's Deployment has for every benchmark."""

SHAREGPT_NAME = "sharegpt_v3_unfiltered_cleaned_split"
INPUT_TOKENS_MAX = 1024
"""Rows with longer prompts are left out by the original: its Deployment says so for every benchmark."""

DEFAULTS = {
    "image": "vllm/vllm-openai:latest",
    "model": "meta-llama/Llama-2-7b-hf",
    "dataset": SHAREGPT_NAME,
    "port": "8081",
    "benchmark_time_seconds": "60",
    "output_length": "1024",
    "refresh_metrics_interval": "50ms",
}
"""What the .proto says of fields that are left out."""

_HARDWARE = {
    "nvidia-l4": "l4",
    "nvidia-tesla-a100": "a100-40gb",
    "nvidia-a100-80gb": "a100-80gb",
    "nvidia-h100-80gb": "h100",
    "nvidia-h100-mega-80gb": "h100",
    "nvidia-h200-141gb": "h200",
    "nvidia-b200": "b200",
}
_ENDINGS = (".pbtxt", ".textproto", ".txtpb", ".txt")
_TOP = re.compile(r"(?m)^\s*benchmarks\s*:?\s*[{<]")
_UNREAD = {"max_loras": "LoRA adapters", "lora_rank": "LoRA adapters"}


class GieFormat:
    """Textprotos of the Gateway API inference extension's benchmark tool."""

    name = "gie"
    title = "Gateway API benchmark textproto"

    def recognises(self, path: Path, text: str) -> bool:
        """Whether it has benchmarks { ... } at the top, or says which message it is."""
        return path.suffix.lower() in _ENDINGS and bool(_TOP.search(text) or "proto message: Benchmarks" in text)

    def read(self, source: Source, *, lenient: bool) -> tuple[Imported, ...]:
        """
        A suite for each benchmark.

        Raises:
            ConfigError: as of `read_benchmarks`, or a benchmark says what cannot be run.
        """
        return tuple(_Reading(source, one, lenient=lenient).imported() for one in read_benchmarks(source, lenient=lenient))


FORMAT = GieFormat()


class _Reading:
    """One benchmark on its way to a suite."""

    def __init__(self, source: Source, benchmark: Benchmark, *, lenient: bool) -> None:
        self._source = source
        self._benchmark = benchmark
        self._lenient = lenient
        self._notes = list(benchmark.lost)
        config = benchmark.message.config
        self._server = config.model_server
        self._lpg = config.benchmark_tool.lpg
        self._balancer = config.load_balancer

    def imported(self) -> Imported:
        """The suite, and what is to be said of it."""
        self._check()
        self._fill()
        suite: dict[str, Any] = {
            "suite": self._benchmark.name,
            "label": self._benchmark.name,
            "hardware": self._hardware(),
            "engine": self._engine(),
            "api": "completions",
            "matrix": {
                "model": self._server.vllm.model,
                "tensor_parallel": self._tensor_parallel(),
                "rate": self._rates(),
            },
            "load": {"duration": self._number("benchmark_time_seconds"), "arrival": "poisson"},
            "dataset": self._dataset(),
        }
        if self._lpg.warmup_seconds:
            seconds = self._number("warmup_seconds")
            suite["include"] = [{"rate": rate, "warmup": ceil(rate * seconds)} for rate in suite["matrix"]["rate"]]
        if self._needs_cluster:
            suite["cluster"] = {"kind": KIND, **self._settings()}
        origin = Origin(file=self._source.path, line=self._benchmark.line)
        return Imported(name=self._benchmark.name, suite=suite, origin=origin, notes=tuple(self._notes))

    @property
    def _needs_cluster(self) -> bool:
        return bool(self._balancer.HasField("gateway") or self._server.replicas > 1)

    def _fill(self) -> None:
        """The defaults that the .proto names, where nothing is written."""
        self._server.image = self._server.image or DEFAULTS["image"]
        self._server.vllm.model = self._server.vllm.model or DEFAULTS["model"]
        self._server.replicas = self._server.replicas or 1
        for name in ("dataset", "port", "benchmark_time_seconds", "output_length"):
            setattr(self._lpg, name, getattr(self._lpg, name) or DEFAULTS[name])
        self._lpg.models = self._lpg.models or self._server.vllm.model
        self._lpg.tokenizer = self._lpg.tokenizer or self._server.vllm.model
        for gateway in ("envoy", "gke_gateway"):
            if self._balancer.gateway.HasField(gateway) and getattr(self._balancer.gateway, gateway).HasField("epp"):
                epp = getattr(self._balancer.gateway, gateway).epp
                epp.refresh_metrics_interval = epp.refresh_metrics_interval or DEFAULTS["refresh_metrics_interval"]

    def _check(self) -> None:
        """Refuse what is missing, and what nobody would read."""
        if not self._server.HasField("vllm"):
            raise self._error("config.model_server.vllm", "is missing: the model server has no model")
        if self._server.replicas < 0:
            raise self._error("config.model_server.replicas", f"must be 1 or more, not {self._server.replicas}")
        if not self._benchmark.message.config.benchmark_tool.HasField("lpg"):
            raise self._error("config.benchmark_tool.lpg", "is missing: there is no load to send")
        if not (self._balancer.HasField("gateway") or self._balancer.HasField("k8s_service")):
            raise self._error("config.load_balancer", "is missing; write k8s_service {} or gateway { ... }")
        if self._balancer.HasField("gateway"):
            self._check_gateway()
        self._check_unread()

    def _check_unread(self) -> None:
        for name, what in _UNREAD.items():
            if getattr(self._server.vllm, name):
                self._unread(f"config.model_server.vllm.{name}", f"the original's manifests have no {what}, so nothing reads it")
        config = self._benchmark.message.config
        if self._needs_cluster and not config.benchmark_tool.image:
            raise self._error("config.benchmark_tool.image", "is missing: nothing would send the load in the cluster")
        if config.namespace:
            self._notes.append("the namespace in it is not used: each run has one of its own, {name}-{run id}")
        if self._benchmark.message.HasField("result"):
            self._notes.append("the result of an earlier run in it is not read")

    def _check_gateway(self) -> None:
        gateway = self._balancer.gateway
        if not (gateway.HasField("envoy") or gateway.HasField("gke_gateway")):
            raise self._error("config.load_balancer.gateway", "is neither envoy { ... } nor gke_gateway { ... }")
        if gateway.HasField("envoy") and not (gateway.envoy.HasField("epp") or gateway.envoy.lb_policy):
            raise self._error("config.load_balancer.gateway.envoy", "has neither epp { ... } nor an lb_policy")
        epp = gateway.gke_gateway.epp if gateway.HasField("gke_gateway") else gateway.envoy.epp
        if (gateway.HasField("gke_gateway") or gateway.envoy.HasField("epp")) and not epp.image:
            raise self._error("config.load_balancer.gateway.epp.image", "is missing: the endpoint picker has no image")

    def _hardware(self) -> str:
        accelerator = self._server.accelerator
        if accelerator not in _HARDWARE:
            known = ", ".join(_HARDWARE)
            raise self._error("config.model_server.accelerator", f"{accelerator!r} is not known here; known: {known}")
        return _HARDWARE[accelerator]

    def _engine(self) -> dict[str, Any]:
        env = {"VLLM_USE_V1": self._server.vllm.v1, "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "true"}
        return {"name": "vllm", "image": self._server.image, "args": dict(SERVER_ARGS), "env": env}

    def _tensor_parallel(self) -> int:
        text = self._server.vllm.tensor_parallelism
        if not text.isdecimal() or not int(text):
            raise self._error("config.model_server.vllm.tensor_parallelism", f"must be a whole number as text, not {text!r}")
        return int(text)

    def _rates(self) -> list[float | int]:
        models = [model.strip() for model in self._lpg.models.split(",")]
        written = self._lpg.request_rates
        try:
            texts = written.split(",") if written else self._automatic_rates(len(models))
            self._lpg.request_rates = ",".join(texts)
            return [_rate(text) for text in texts]
        except ConfigError as error:
            raise self._error(error.field or "config.benchmark_tool.lpg.request_rates", error.problem) from error

    def _automatic_rates(self, models: int) -> list[str]:
        return request_rates(
            self._server.vllm.model,
            self._server.accelerator,
            accelerators=self._server.replicas * self._tensor_parallel(),
            models=models,
        )

    def _dataset(self) -> dict[str, Any]:
        served, asked = self._server.vllm.model, self._lpg.models
        if asked != served and not self._needs_cluster:
            self._unread("config.benchmark_tool.lpg.models", f"one server here answers for one model, {served!r}, not {asked!r}")
        if self._lpg.tokenizer != served and not self._needs_cluster:
            self._unread("config.benchmark_tool.lpg.tokenizer", f"tokens are counted with the model's own tokenizer, {served!r}")
        name = self._lpg.dataset
        if name != SHAREGPT_NAME and not name.endswith((".json", ".jsonl", ".txt")):
            problem = f"{name!r} is no file that can be read; write {SHAREGPT_NAME!r}, or a file ending in .json, .jsonl or .txt"
            raise self._error("config.benchmark_tool.lpg.dataset", problem)
        longest = f"{INPUT_TOKENS_MAX} tokens in or {self._number('output_length'):g} out"
        self._notes.append(f"rows with more than {longest} are left out by the original, and are sent here")
        return dict(SHAREGPT) if name == SHAREGPT_NAME else {"path": name}

    def _number(self, name: str) -> float | int:
        text = getattr(self._lpg, name)
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 0 < value < 1e9:
            raise self._error(f"config.benchmark_tool.lpg.{name}", f"must be a number above 0 as text, not {text!r}")
        return int(value) if value == int(value) else value

    def _settings(self) -> dict[str, Any]:
        """All that manifests are made from, as plain values under the names of the .proto."""
        return {"name": self._benchmark.name, **plain_values(self._benchmark.message.config)}

    def _unread(self, field: str, problem: str) -> None:
        """What would do nothing: an error, or (lenient) a note."""
        if not self._lenient:
            raise self._error(field, problem)
        self._notes.append(f"{field}: {problem}")

    def _error(self, field: str, problem: str) -> ConfigError:
        line = field_line(self._source.text, self._benchmark.line, field)
        return ConfigError(problem, file=self._source.path, line=line, field=f"{self._benchmark.name}: {field}")


def _rate(text: str) -> float | int:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if rate == 0:
        raise ConfigError("0 is all at once to the original, which then wants a number of prompts that its manifests do not give")
    if not 0 < rate < 1e9:
        raise ConfigError(f"{text.strip()!r} is not a rate; write numbers with commas between, such as 1,2.5,10")
    return int(rate) if rate == int(rate) else rate
