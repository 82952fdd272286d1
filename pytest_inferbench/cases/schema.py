"""
What may stand in a suite file: every field, its type and its range, as pydantic models.

Rule: this module is imported when the first suite is read and not before, because pydantic is; and a model holds what one file
may say, so nothing is required here (another file may be the base). What a complete suite needs is checked in `suite`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from math import isfinite, isnan
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    StrictBool,
    StrictInt,
    StrictStr,
    WithJsonSchema,
    model_validator,
)

from pytest_inferbench.cases.case import Api, Cluster, Traffic
from pytest_inferbench.cases.catalogue import hardware_of
from pytest_inferbench.cases.confidence import confidence_of
from pytest_inferbench.cases.engine_schema import EngineOrName, Size, Variable, VolumeText, Word
from pytest_inferbench.cases.problems import LEVELS, ONE_LEVEL, OWN_LENGTHS
from pytest_inferbench.cases.row_template import fields_of_template
from pytest_inferbench.cases.schema_types import OneOrMany, Strict, Text, reads
from pytest_inferbench.cases.sending import checked_body, checked_headers, checked_path, checked_text_path
from pytest_inferbench.cases.traffic import TOKENS_MAX, parse_traffic
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.units import duration_s, quantity_in


def _rate_per_s(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ConfigError('must be requests a second, such as 5, 0.5, "12 req/s" or inf')
    if isinstance(value, str):
        value = float("inf") if value.strip().lower() == "inf" else quantity_in(value, "req/s")
    if isnan(value) or value <= 0:
        raise ConfigError(f"must be more than 0 requests a second, not {value}")
    return float(value)


def _positive(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value <= 0:
        raise ConfigError(f"must be a number above 0, not {value!r}")
    return float(value)


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ConfigError("must be a length of time, such as 60, 90s or 1m30s")
    seconds = duration_s(value)
    if seconds == 0:
        raise ConfigError("must be longer than 0 s")
    return seconds


def _extra_body(value: object) -> str:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as exc:
            raise ConfigError(f"is not JSON: {exc}") from exc
    if not isinstance(value, dict):
        raise ConfigError('must be a mapping of fields for every request, such as {"ignore_eos": true}')
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as exc:
        raise ConfigError(f"holds something that JSON cannot: {exc}") from exc


def _body(value: object) -> str:
    if isinstance(value, dict):
        return checked_body(_extra_body(value))
    return checked_body(value if isinstance(value, str) else json.dumps(value, default=str))


def _headers(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise ConfigError('must be a mapping of names to values, such as {"X-Key": "${KEY}"}')
    for name, each in value.items():
        if not isinstance(each, str):
            # Neither the value nor a guess at it is shown: it may be a secret.
            raise ConfigError(f"the value of {name} is text; put quotes round it")
    return checked_headers(value)


def _cluster(value: object) -> Cluster:
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str) or not value["kind"].strip():
        raise ConfigError("must be a mapping with a kind, such as {kind: gateway-api, ...}")
    settings = {name: each for name, each in value.items() if name != "kind"}
    return Cluster(kind=value["kind"].strip(), settings=_extra_body(settings))


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ConfigError('must be a share of all requests, such as 0.8 or "80%"')
    share = quantity_in(value, "1") if isinstance(value, str) else float(value)
    if not 0 < share <= 1:
        raise ConfigError(f"must be more than 0 and at most 1, not {share:g}")
    return share


def _template(value: str | None) -> str | None:
    if value is not None:
        fields_of_template(value)
    return value


def _or_none(reader: Callable[[str], str]) -> Callable[[str | None], str | None]:
    return lambda value: None if value is None else reader(value)


def _hardware(value: str) -> str:
    return hardware_of(value).name


Seconds = Annotated[
    float,
    PlainValidator(reads(_seconds)),
    WithJsonSchema({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string"}], "examples": [60, "90s", "1m30s"]}),
]
Positive = Annotated[
    float, PlainValidator(reads(_positive)), WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "examples": [0.5, 2]})
]
Confidence = Annotated[
    float,
    PlainValidator(reads(confidence_of)),
    WithJsonSchema({"anyOf": [{"type": "number", "exclusiveMinimum": 0.5, "exclusiveMaximum": 1}, {"type": "string"}]}),
    Field(description="how sure a verdict has to be, such as 0.95; observed: the figures as seen are held against the limits"),
]
Rate = Annotated[
    float,
    PlainValidator(reads(_rate_per_s)),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string"}], "examples": [5, "inf", "12 req/s"]}
    ),
]
Share = Annotated[
    float,
    PlainValidator(reads(_share)),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "exclusiveMinimum": 0, "maximum": 1}, {"type": "string"}], "examples": [0.8, "80%"]}
    ),
]
TrafficText = Annotated[
    Traffic,
    BeforeValidator(lambda value: reads(parse_traffic)(value) if isinstance(value, str) else _wrong_traffic()),
    WithJsonSchema(
        {"type": "string", "examples": ["D(512,128)", "N(480,240)/(300,150)", "U(10,100)/(5,50)", "I(512,512)", "dataset"]}
    ),
]
HardwareName = Annotated[Text, AfterValidator(reads(_hardware))]
ExtraBody = Annotated[str, PlainValidator(reads(_extra_body)), WithJsonSchema({"type": "object"})]
Body = Annotated[str, PlainValidator(reads(_body)), WithJsonSchema({"type": "object"})]
ClusterNeeds = Annotated[
    Cluster,
    PlainValidator(reads(_cluster)),
    WithJsonSchema({"type": "object", "properties": {"kind": {"type": "string"}}, "required": ["kind"]}),
]
Headers = Annotated[
    tuple[tuple[str, str], ...],
    PlainValidator(reads(_headers)),
    WithJsonSchema(
        {"type": "object", "additionalProperties": {"type": "string"}, "examples": [{"Authorization": "Bearer ${KEY}"}]}
    ),
]


def _wrong_traffic() -> None:
    raise ValueError('must be text such as "D(512,128)"')


Arrival = Literal["closed", "poisson", "constant", "gamma", "linear", "exponential", "steps"]
Cache = Literal["cold", "warm", "shared"]
FreshServer = Annotated[StrictBool, Field(description="each case gets a server that has answered nobody before")]
Some = Field(min_length=1)


Tokens = Annotated[StrictInt, Field(ge=1, le=TOKENS_MAX)]


class Prefix(Strict):
    """Beginnings that prompts share."""

    tokens: Tokens
    share: Share = 1.0
    count: Annotated[StrictInt, Field(ge=1, le=1_000_000)] = 1


class Dataset(Strict):
    """Requests that stand in a file or folder."""

    path: Text
    format: Annotated[
        Literal["sharegpt", "jsonl", "lines", "hf"] | None, Field(description="where it is not given, the path's ending says")
    ] = None
    prompt: Annotated[StrictStr | None, AfterValidator(reads(_template))] = None
    output_tokens: Annotated[
        Tokens | Text | None, Field(description="tokens of every answer, or the field of a row that says or holds it")
    ] = None


class Images(Strict):
    """What stands beside generated images."""

    format: Literal["png", "jpeg"] = "png"
    prompt_tokens: Tokens = 32
    output_tokens: Tokens = 128


class Content(Strict):
    """What requests hold beyond what the traffic's text says."""

    prefix: Prefix | None = None
    turns: Annotated[StrictInt, Field(ge=1, le=1000)] | None = None
    think_time: Seconds | None = None
    dataset: Dataset | None = None
    documents: Annotated[StrictInt, Field(ge=1, le=100_000)] | None = None
    images: Images | None = None


class Sending(Strict):
    """How requests are spelled and sent, where their API leaves that open."""

    stream: Annotated[StrictBool | None, Field(description="false: each answer is one JSON document")] = None
    path: Annotated[Text | None, AfterValidator(reads(_or_none(checked_path)))] = None
    body: Annotated[Body | None, Field(description="of api template: a JSON object with placeholders such as {prompt}")] = None
    text: Annotated[Text | None, AfterValidator(reads(_or_none(checked_text_path)))] = None
    headers: Headers | None = None
    ca_file: Text | None = None


class Axes(Strict):
    """What a matrix spans; each axis is one value or a list."""

    hardware: Annotated[list[HardwareName], Some, OneOrMany()] | None = None
    engine: Annotated[list[EngineOrName], Some, OneOrMany()] | None = None
    model: Annotated[list[Text], Some, OneOrMany()] | None = None
    tensor_parallel: Annotated[list[Annotated[StrictInt, Field(ge=1, le=4096)]], Some, OneOrMany()] | None = None
    traffic: Annotated[list[TrafficText], Some, OneOrMany()] | None = None
    cache: Annotated[list[Cache], Some, OneOrMany()] | None = None
    concurrency: Annotated[list[Annotated[StrictInt, Field(ge=1, le=1_000_000)]], Some, OneOrMany()] | None = None
    rate: Annotated[list[Rate], Some, OneOrMany()] | None = None
    sweep: Annotated[StrictInt, Field(ge=1, le=100, description="rates between one user and all at once")] | None = None
    api: Annotated[list[Api], Some, OneOrMany()] | None = None


class Search(Strict):
    """The level of load to look for: the highest at which the other objectives are met."""

    for_: Annotated[Literal["max_rate", "max_concurrency"], Field(alias="for")]
    from_: Annotated[Positive, Field(alias="from", description="the lowest level: requests a second, or users")]
    to: Annotated[Positive, Field(description="the highest level")]
    within: Annotated[Share, Field(description="how far neighbouring levels are apart at most")] = 0.05
    most: Annotated[StrictInt | None, Field(ge=1, description="requests of one load; nine times 'requests' by default")] = None
    budget: Annotated[StrictInt | None, Field(ge=1, description="requests of all loads together")] = None

    @model_validator(mode="after")
    def _upwards(self) -> Search:
        if self.to <= self.from_:
            raise ValueError(f"goes from {self.from_:g} to {self.to:g}; 'to' must be more than 'from'")
        if self.for_ == "max_concurrency" and not (self.from_.is_integer() and self.to.is_integer()):
            raise ValueError("is for users, who are counted in whole numbers; write such as from: 1, to: 64")
        return self


class Load(Strict):
    """How long the load goes on, and how requests arrive."""

    requests: Annotated[StrictInt, Field(ge=1)] | None = None
    duration: Seconds | None = None
    warmup: Annotated[StrictInt, Field(ge=0)] | None = None
    stop: Annotated[Literal["when-sure"] | None, Field(description="end as soon as the verdict is sure")] = None
    least: Annotated[StrictInt | None, Field(ge=1, description="requests that a load which stops when sure has at least")] = None
    arrival: Arrival | None = None
    burstiness: Annotated[Positive, Field(description="shape of gamma gaps: 1 is Poisson, less is burstier")] | None = None
    ramp_from: Annotated[Rate, Field(description="rate at which a ramp begins; it ends at the rate")] | None = None
    steps: Annotated[StrictInt, Field(ge=2, le=1000, description="levels of a ramp in steps")] | None = None
    ramp_up: Annotated[Seconds, Field(description="time over which the users of a closed loop start")] | None = None
    max_in_flight: Annotated[StrictInt, Field(ge=1, le=1_000_000, description="most requests on the wire")] | None = None
    trace: Annotated[Text, Field(description="file that says when requests come, and how long they are")] | None = None
    time_scale: Annotated[list[Positive], Some, OneOrMany()] | None = None
    search: Annotated[Search | None, Field(description="in place of a level: look for the highest that holds")] = None

    @model_validator(mode="after")
    def _scale_of_a_trace(self) -> Load:
        if self.time_scale is not None and self.trace is None:
            raise ValueError("has 'time_scale' without 'trace', whose times it is for")
        return self


class Limits(Strict):
    """The longest the client waits."""

    connect: Seconds | None = None
    first_token: Seconds | None = None
    stall: Seconds | None = None
    total: Seconds | None = None


class Combination(Axes, Load, Content, Sending):
    """An entry of ``include`` or a preset: axes, and what is different for them."""

    slo: Annotated[list[Text], OneOrMany()] | None = None
    confidence: Confidence | None = None
    fail_on: Annotated[list[Text], OneOrMany()] | None = None
    limits: Limits | None = None
    expected_miss: Text | None = None
    extra_body: ExtraBody | None = None
    fresh_server: FreshServer | None = None

    @model_validator(mode="after")
    def _one_kind_of_level(self) -> Combination:
        given = [name for name in LEVELS if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"has both {given[0]!r} and {given[1]!r}: {ONE_LEVEL}")
        if self.trace is not None and self.traffic is not None:
            raise ValueError(f"has both 'trace' and 'traffic': {OWN_LENGTHS}")
        return self


class Tool(Strict):
    """Somebody else's load generator, in a container beside the server, in place of this plugin's own client."""

    name: Text
    image: Text
    results: Annotated[Text, Field(description="the folder in the container where it leaves its result files")]
    args: Annotated[list[Word], Field(default_factory=list)]
    env: Annotated[dict[StrictStr, Variable], Field(default_factory=dict)]
    volumes: Annotated[list[VolumeText], Field(default_factory=list)]
    shm_size: Size | None = None


class Part(Content, Sending):
    """A matrix of benchmark cases, with what all of them share."""

    suite: Text | None = None
    label: Annotated[Text | None, Field(description="stands in front of every id")] = None
    hardware: Annotated[list[HardwareName], Some, OneOrMany()] | None = None
    engine: Annotated[list[EngineOrName], Some, OneOrMany()] | None = None
    api: Annotated[list[Api], Some, OneOrMany()] | None = None
    preset: Annotated[list[Text], Some, OneOrMany()] | None = None
    matrix: Axes | None = None
    load: Load | None = None
    slo: Annotated[list[Text], OneOrMany()] | None = None
    confidence: Confidence | None = None
    fail_on: Annotated[list[Text], OneOrMany()] | None = None
    limits: Limits | None = None
    include: list[Combination] | None = None
    exclude: list[Axes] | None = None
    presets: dict[Text, Combination] | None = None
    expected_miss: Text | None = None
    extra_body: ExtraBody | None = None
    fresh_server: FreshServer | None = None
    tool: Tool | None = None
    cluster: ClusterNeeds | None = None


class Suite(Part):
    """A file of benchmark cases."""

    base: Text | None = None
    parts: Annotated[list[Part] | None, Some, Field(description="several matrices; each inherits what stands at the top")] = None
