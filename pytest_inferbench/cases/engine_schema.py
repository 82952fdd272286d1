"""What a suite may say of an engine, as a pydantic model; imported with `schema`, when the first suite is read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from pytest_inferbench.cases.case import Volume
from pytest_inferbench.cases.schema_types import Strict, Text, reads
from pytest_inferbench.cases.serving import container_options, cores, size_bytes, ulimits, volume
from pytest_inferbench.errors import ConfigError

_OF_CONTAINERS = ("image", "volumes", "shm_size", "ulimits", "ports", "start_mode", "container_options")


def _argument(value: object) -> str | int | float | bool | None:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise ConfigError("must be text, a number, true, false, or nothing for a flag without a value")


def _word(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ConfigError("must be one word of the command line; put quotes round it")
    return str(value)


def _variable(value: object) -> str:
    # Neither the value nor a guess at it is shown: it may be a secret.
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ConfigError("an environment variable is text; put quotes round it")
    return str(value)


Argument = Annotated[
    str | int | float | bool | None,
    PlainValidator(reads(_argument)),
    WithJsonSchema({"type": ["string", "number", "boolean", "null"]}),
]
_WORD: dict[str, Any] = {"type": ["string", "number"]}
Word = Annotated[str, PlainValidator(reads(_word)), WithJsonSchema(_WORD)]


class WordsToo:
    """Lets a mapping of options be written as a list of words too, which are taken as they stand."""

    def __get_pydantic_core_schema__(self, _source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A list is read here, everything else as the mapping."""
        mapping = handler.generate_schema(dict[StrictStr, Argument])
        return core_schema.no_info_wrap_validator_function(_words_or_options, mapping)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Either one."""
        return {"anyOf": [handler(schema), {"type": "array", "items": _WORD}]}


def _words_or_options(value: object, handler: ValidatorFunctionWrapHandler) -> Any:
    if not isinstance(value, list):
        return handler(value)
    for number, word in enumerate(value, start=1):
        if isinstance(word, bool) or not isinstance(word, str | int | float):
            # Pydantic wants a ValueError; it collects it with the field's place.
            raise ValueError(f"item {number} must be one word of the command line; put quotes round it")  # noqa: TRY004
    return [str(word) for word in value]


Variable = Annotated[str, PlainValidator(reads(_variable)), WithJsonSchema({"type": ["string", "integer"]})]
Size = Annotated[
    int,
    PlainValidator(reads(size_bytes)),
    WithJsonSchema({"anyOf": [{"type": "integer", "exclusiveMinimum": 0}, {"type": "string"}], "examples": ["10g", "64GiB"]}),
]
Cores = Annotated[str, PlainValidator(reads(cores)), WithJsonSchema({"type": "string", "examples": ["0-7", "0,2,8-11"]})]
VolumeText = Annotated[
    Volume,
    PlainValidator(reads(volume)),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {
                        "source": {"type": "string"},
                        "target": {"type": "string"},
                        "mode": {"enum": ["ro", "rw"]},
                    },
                    "required": ["source", "target"],
                    "additionalProperties": False,
                },
            ],
            "examples": ["~/models:/models:ro"],
        }
    ),
]
Ulimits = Annotated[
    tuple[tuple[str, int, int], ...],
    PlainValidator(reads(ulimits)),
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}}]},
            "examples": [{"memlock": -1, "nofile": [1024, 65536]}],
        }
    ),
]
ContainerOptions = Annotated[
    str,
    PlainValidator(reads(container_options)),
    WithJsonSchema({"type": "object", "examples": [{"HostConfig": {"IpcMode": "host", "CapAdd": ["SYS_NICE"]}}]}),
]


class Engine(Strict):
    """A model server: its name, and how it is asked to run."""

    name: Text
    label: Annotated[
        Text | None, Field(description="stands in ids in place of the name, to tell two engines of one name apart")
    ] = None
    image: Annotated[Text | None, Field(description="container image, by tag or digest; without it the engine's own")] = None
    args: Annotated[
        dict[StrictStr, Argument] | list[str],
        WordsToo(),
        Field(default_factory=dict, description="the engine's own options, or a list of words as they stand"),
    ]
    extra_args: Annotated[
        list[Word], Field(default_factory=list, description="words for the end of the command line, as they stand")
    ]
    env: Annotated[dict[StrictStr, Variable], Field(default_factory=dict)]
    launcher: Annotated[
        Literal["process", "docker"] | None, Field(description="where it runs; with an image, in a container")
    ] = None
    volumes: Annotated[list[VolumeText] | None, Field(description="folders of this machine in the container")] = None
    shm_size: Annotated[Size | None, Field(description="of /dev/shm in the container")] = None
    ulimits: Ulimits | None = None
    ports: Annotated[
        Literal["published", "network"] | None, Field(description="how the container's port is reached; default published")
    ] = None
    start_mode: Annotated[
        Literal["flags", "command"] | None, Field(description="whether the image's entrypoint gets the words, or is replaced")
    ] = None
    container_options: Annotated[
        ContainerOptions | None, Field(description="laid over what the container engine's API makes the container from")
    ] = None
    cpus: Annotated[Cores | None, Field(description="cores that it may use")] = None
    numa: Annotated[StrictInt | None, Field(ge=0, description="NUMA node that it may use")] = None
    memory: Annotated[Size | None, Field(description="most memory that it may use")] = None
    revision: Annotated[Text | None, Field(description="of the model on its hub: a commit, a branch or a tag")] = None
    offline: Annotated[StrictBool, Field(description="the server must reach no hub")] = False

    @model_validator(mode="after")
    def _container_or_process(self) -> Engine:
        given = [name for name in _OF_CONTAINERS if getattr(self, name) is not None]
        if given and self.launcher == "process":
            raise ValueError(f"has {given[0]!r}, which is for containers, and launcher 'process'; keep one")
        if given and self.launcher is None and self.image is None:
            raise ValueError(f"has {given[0]!r}, which is for containers; name an image, or write launcher: docker")
        return self

    @model_validator(mode="after")
    def _words_once(self) -> Engine:
        if isinstance(self.args, list) and self.extra_args:
            raise ValueError("has 'extra_args' beside 'args' that are a list of words already; keep one")
        return self


def _named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


EngineOrName = Annotated[
    Engine, BeforeValidator(_named), WithJsonSchema({"anyOf": [{"type": "string"}, Engine.model_json_schema()]})
]
