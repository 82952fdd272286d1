"""What every part of a suite's schema is made of; imported with `schema`, when the first suite is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, StrictStr
from pydantic_core import CoreSchema, core_schema

from pytest_inferbench.errors import ConfigError

Value = TypeVar("Value")


class OneOrMany:
    """Lets a list field be written as a single value too."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Make a list of anything that is none."""
        return core_schema.no_info_before_validator_function(_listed, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Either one item or a list of items."""
        many = handler(schema)
        return {"anyOf": [many["items"], many]}


def _listed(value: object) -> object:
    return value if isinstance(value, list) else [value]


def reads(reader: Callable[[Any], Value]) -> Callable[[Any], Value]:
    """The reader with its `ConfigError` as the ValueError that pydantic collects with the field's place."""

    def read(value: Any) -> Value:
        try:
            return reader(value)
        except ConfigError as exc:
            raise ValueError(exc.problem) from exc

    return read


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ConfigError("is blank")
    return value.strip()


Text = Annotated[StrictStr, AfterValidator(reads(_not_blank))]


class Strict(BaseModel):
    """No field that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True)
