"""
BenchFlow's ``ConfigGenerator``: a base configuration and a grid of parameters become one configuration with a workflow a variant.

    generator = ConfigGenerator(base_config)
    variants = generator.generate_variants({"workflows.service.version": ["v0.9.0", "v0.10.0"]})
    generator.save_combined_config(variants, "combined.json")

A path is ``workflows.service.FIELD``, ``workflows.bench.FIELD`` or either one's ``extra_args.FLAG``. Variants are the product of
the grid, the last path fastest; some paths set others with them (``LINKED``).

Rule: where BenchFlow's own would write something else than the grid says, strict is an error that says what that would have been,
and lenient writes it. A secret is never written: see `cases.formats.secrets`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from pytest_inferbench.cases.catalogue import did_you_mean
from pytest_inferbench.cases.formats.benchflow import BENCH_FIELDS, BENCH_IMAGE, BENCH_VOLUMES, without_secret_words
from pytest_inferbench.cases.formats.benchflow_service import FIELDS as SERVICE_FIELDS
from pytest_inferbench.cases.formats.secrets import without_secrets
from pytest_inferbench.cases.readers import read_document
from pytest_inferbench.errors import ConfigError

LINKED: Mapping[str, tuple[str, ...]] = {
    "workflows.service.version": ("workflows.bench.extra_args.server-version",),
    "workflows.service.extra_args.model": ("workflows.bench.extra_args.model-tokenizer",),
    "workflows.service.extra_args.served-model-name": ("workflows.bench.extra_args.api-model-name",),
    "workflows.service.extra_args.tensor-parallel-size": (
        "workflows.service.num_gpu_devices",
        "workflows.bench.extra_args.server-gpu-count",
    ),
}
"""By path: what is set to the same value with it."""

_SECTIONS: Mapping[str, tuple[str, ...]] = {"service": SERVICE_FIELDS, "bench": BENCH_FIELDS}
_SERVICE_DEFAULTS: Mapping[str, Any] = {
    "container_name": None,
    "image": None,
    "version": None,
    "start_mode": "flags",
    "shm_size": "15g",
    "num_gpu_devices": 1,
    "port": 8080,
    "env_vars": {},
    "volumes": [],
    "extra_args": [],
}
_BENCH_DEFAULTS: Mapping[str, Any] = {
    "container_name": None,
    "image": BENCH_IMAGE,
    "version": None,
    "volumes": list(BENCH_VOLUMES),
    "env_vars": {},
    "extra_args": [],
}
_WHOLE = ("num_gpu_devices", "port")
_LISTS = ("volumes", "extra_args")
VARIANTS_MAX = 100_000


class ConfigGenerator:
    """Variants of a base configuration; ``lenient`` makes them as BenchFlow does, mistakes and all."""

    def __init__(self, base_config: dict[str, Any], *, lenient: bool = False) -> None:
        self.base_config = base_config
        self._lenient = lenient

    def generate_variants(
        self, param_grid: Mapping[str, Sequence[Any]], linked_params: Mapping[str, Sequence[str]] | None = None
    ) -> list[dict[str, Any]]:
        """
        A whole configuration for each point of the grid; ``linked_params`` adds to ``LINKED``.

        Raises:
            ConfigError: a path or its values are wrong, or (strict) BenchFlow would not do what the grid says.
        """
        links: dict[str, Sequence[str]] = {**LINKED, **(linked_params or {})}
        workflow = self._first_workflow()
        if not self._lenient:
            self._check_grid(param_grid, links)
        values = [_iterated(path, values) for path, values in param_grid.items()]
        variants = []
        for number, point in enumerate(product(*values)):
            if number >= VARIANTS_MAX:
                raise ConfigError(f"the grid has more than {VARIANTS_MAX} variants")
            config = copy.deepcopy(self.base_config)
            for path, value in zip(param_grid, point, strict=True):
                self._set(config, path, value)
                for other in links.get(path, ()):
                    self._set(config, other, _linked(other, value))
            _name_containers(config["workflows"][0], str(workflow["name"]), number)
            variants.append(config)
        return variants

    def save_combined_config(self, variants: Sequence[Mapping[str, Any]], output_path: str | Path) -> None:
        """
        Write the first workflow of each variant into one configuration.

        Raises:
            ConfigError: a variant is no configuration of BenchFlow's.
        """
        combined = {
            "execution_mode": self.base_config.get("execution_mode", "sequential"),
            "max_parallel": self.base_config.get("max_parallel", 2),
            "workflows": [_whole_workflow(variant["workflows"][0], number) for number, variant in enumerate(variants)],
        }
        path = Path(output_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(combined, indent=2, ensure_ascii=False), encoding="utf-8")

    def _first_workflow(self) -> Mapping[str, Any]:
        workflows = self.base_config.get("workflows")
        if not isinstance(workflows, list) or not workflows or not isinstance(workflows[0], dict):
            raise ConfigError("must be a list of workflows", field="workflows")
        for part in ("name", "service", "bench"):
            if part not in workflows[0]:
                raise ConfigError("is missing", field=f"workflows[0].{part}")
        if len(workflows) > 1 and not self._lenient:
            raise ConfigError(
                f"holds {len(workflows)} workflows; BenchFlow would make variants of the first and drop the others",
                field="workflows",
            )
        found: Mapping[str, Any] = workflows[0]
        return found

    # --- what BenchFlow would do to a grid ------------------------------------------------------------------------------------

    def _check_grid(self, grid: Mapping[str, Any], links: Mapping[str, Sequence[str]]) -> None:
        seen: set[str] = set()
        for path, values in grid.items():
            _check_path(path)
            if isinstance(values, str):
                raise ConfigError(
                    f"must be a list, not text; BenchFlow would take its {len(values)} letters one by one", field=path
                )
            if not isinstance(values, list | tuple):
                raise ConfigError("must be a list of values", field=path)
            if not values:
                raise ConfigError("is an empty list; BenchFlow would write a configuration without workflows", field=path)
            for other in links.get(path, ()):
                if other in seen:
                    raise ConfigError(f"sets {other} too, which stands before it; BenchFlow would lose its values", field=path)
            seen.add(path)
            _check_versions(path, values, links)

    def _set(self, config: dict[str, Any], path: str, value: Any) -> None:
        parts = path.split(".")
        if parts[0] != "workflows":
            current = config
            for part in parts[:-1]:
                current = current.setdefault(part, {})
            current[parts[-1]] = value
            return
        current = config["workflows"][0]
        for part in parts[1:-1]:
            if part == "extra_args":
                self._set_argument(current, parts[-1], value, path)
                return
            current = current.setdefault(part, {})
        current[parts[-1]] = copy.deepcopy(value)

    def _set_argument(self, section: Mapping[str, Any], flag: str, value: Any, path: str) -> None:
        words = section.get("extra_args")
        if not isinstance(words, list):
            raise ConfigError("there are no extra_args to set it in; give the base a list", field=path)
        name = f"--{flag.lstrip('-')}"
        for index, word in enumerate(words):
            if str(word).startswith(name):
                if not self._lenient:
                    _check_hit(name, [str(one) for one in words], index, path)
                words[index] = f"{name}={value}"
                return
        words.append(f"{name}={value}")


def generated(base: str | Path, grid: str | Path, *, lenient: bool = False) -> tuple[ConfigGenerator, list[dict[str, Any]]]:
    """
    The generator of a base file, and its variants over the grid of another file.

    Raises:
        ConfigError: either file is wrong; names file, line and field.
    """
    base_document, grid_document = read_document(Path(base)), read_document(Path(grid))
    generator = ConfigGenerator(base_document.data, lenient=lenient)
    try:
        return generator, generator.generate_variants(grid_document.data)
    except ConfigError as error:
        of_grid = error.field in grid_document.data or error.field is None
        document = grid_document if of_grid else base_document
        place = (error.field,) if of_grid and error.field else ("workflows",)
        raise ConfigError(error.problem, file=document.file, line=document.line_of(place), field=error.field) from error


def _check_path(path: str) -> None:
    parts = path.split(".")
    if parts[0] != "workflows":
        hint = did_you_mean(parts[0], ("workflows",))
        raise ConfigError(f"begins with {parts[0]!r}{hint}; BenchFlow would write it where nobody reads it", field=path)
    section = parts[1] if len(parts) > 1 else ""
    if section not in _SECTIONS:
        hint = did_you_mean(section, _SECTIONS)
        raise ConfigError(f"{section!r} is neither service nor bench{hint}; BenchFlow would drop it when it saves", field=path)
    fields = _SECTIONS[section]
    name = parts[2] if len(parts) > 2 else ""
    if name not in fields:
        hint = did_you_mean(name, fields) or f"; known: {', '.join(fields)}"
        raise ConfigError(f"{name!r} is no field of a {section}{hint}; BenchFlow would drop it when it saves", field=path)
    if len(parts) > 3 and name not in ("extra_args", "env_vars"):
        raise ConfigError(f"{name} holds no fields; BenchFlow would fail or write what nobody reads", field=path)
    if len(parts) > 4:
        raise ConfigError("is too deep; a path ends with a flag or a variable", field=path)


def _check_versions(path: str, values: Iterable[Any], links: Mapping[str, Sequence[str]]) -> None:
    if path != "workflows.service.version" or not any(one.endswith("server-version") for one in links.get(path, ())):
        return
    for value in values:
        if str(value)[:1].isdigit():
            raise ConfigError(
                f"{value!r}: the bench's --server-version is meant to be v{value}, and BenchFlow would write {value}; write "
                f"v{value}, or link it yourself",
                field=path,
            )


def _check_hit(name: str, words: Sequence[str], index: int, path: str) -> None:
    word = words[index]
    if word.startswith(f"{name}="):
        return
    if word != name:
        raise ConfigError(f"BenchFlow would write {name} over {word}, which only begins like it", field=path)
    if index + 1 < len(words) and not words[index + 1].startswith("--"):
        raise ConfigError(
            f"BenchFlow would leave the old value {words[index + 1]!r} behind as a word; write {name}=VALUE in the base",
            field=path,
        )


def _iterated(path: str, values: Any) -> list[Any]:
    try:
        return list(values)
    except TypeError:
        raise ConfigError("must be a list of values", field=path) from None


def _linked(path: str, value: Any) -> Any:
    # BenchFlow looks for an underscore that its own links never have; a caller's may.
    return f"v{value}" if "server_version" in path and not str(value).startswith("v") else value


def _name_containers(workflow: dict[str, Any], base: str, number: int) -> None:
    service, bench = workflow["service"], workflow["bench"]
    service["container_name"] = f"{base}_{service.get('container_name', 'service')}_variant_{number}"
    bench["container_name"] = f"{base}_{bench.get('container_name', 'bench')}_{base}_variant_{number}"


def _whole_workflow(workflow: Mapping[str, Any], number: int) -> dict[str, Any]:
    place = f"workflows[{number}]"
    return {
        "name": f"{workflow['name']}_variant_{number}",
        "service": _whole_section(workflow["service"], _SERVICE_DEFAULTS, f"{place}.service"),
        "bench": _whole_section(workflow["bench"], _BENCH_DEFAULTS, f"{place}.bench"),
    }


def _whole_section(given: Mapping[str, Any], defaults: Mapping[str, Any], place: str) -> dict[str, Any]:
    section = {name: _checked(given.get(name, default), name, f"{place}.{name}") for name, default in defaults.items()}
    section["env_vars"], _ = without_secrets({str(name): str(value) for name, value in section["env_vars"].items()})
    section["extra_args"] = without_secret_words(section["extra_args"])
    return section


def _checked(value: Any, name: str, field: str) -> Any:
    if name in _WHOLE:
        if isinstance(value, bool) or not str(value).isdecimal():
            raise ConfigError(f"must be a whole number, not {value!r}", field=field)
        return int(value)
    if name in _LISTS:
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise ConfigError("must be a list of texts", field=field)
        return value
    if name == "env_vars":
        if not isinstance(value, dict):
            raise ConfigError("must hold names and values", field=field)
        return value
    if value is None and name != "container_name":
        raise ConfigError("is missing", field=field)
    if value is not None and not isinstance(value, str):
        raise ConfigError(f"must be text, not {value!r}", field=field)
    return value
