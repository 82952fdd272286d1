"""
Message classes of `proto/benchmark.proto`, made when they are first asked for.

Rule: the one place that imports protobuf, and the .proto file is the only list of fields. They come in two kinds. ``plain`` is
proto3, as the original tool has it: a false, a 0 and an empty text cannot be told from a field that is not there. ``written`` has
the same names and numbers and remembers which fields a person wrote, so that what the first kind loses can be found.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

from pytest_inferbench.errors import ConfigError

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
    from google.protobuf.message import Message

Kind = Literal["plain", "written"]

PROTO = "benchmark.proto"
PACKAGE = "benchmark.proto"
_SYNTAX = {"plain": "proto3", "written": "proto2"}
_TIMESTAMP = "google.protobuf.Timestamp"
_MESSAGE = re.compile(r"message (\w+) \{")
_ONEOF = re.compile(r"oneof (\w+) \{")
_FIELD = re.compile(r"(repeated )?([\w.]+) (\w+) = (\d+);")


class NotATextproto(Exception):
    """A text is no textproto; says why in protobuf's words, and on which line, from 1."""

    def __init__(self, words: str, *, line: int | None) -> None:
        self.line = line
        super().__init__(words)


def message_class(name: str, kind: Kind = "plain") -> type[Message]:
    """
    The class of a message such as ``Benchmarks``.

    Raises:
        ConfigError: the package protobuf is not installed; says how to install it.
    """
    return _classes(kind)[f"{PACKAGE}.{name}"]


def proto_text() -> str:
    """The text of `proto/benchmark.proto`."""
    return (files("pytest_inferbench.cases.formats") / "proto" / PROTO).read_text(encoding="utf-8")


def parsed(text: str, kind: Kind = "plain") -> Any:
    """
    A file of benchmarks, as a ``Benchmarks`` message.

    Raises:
        NotATextproto: it is not one.
        ConfigError: the package protobuf is not installed.
    """
    message = message_class("Benchmarks", kind)()
    from google.protobuf import text_format  # noqa: PLC0415 - needed for these files only

    try:
        return text_format.Parse(text, message)
    except text_format.ParseError as exc:
        raise NotATextproto(re.sub(r"^\d+:\d+ : ", "", str(exc)).strip(), line=exc.GetLine()) from exc


def plain_values(message: Message) -> dict[str, Any]:
    """The fields of a message that are set, under their names in the .proto."""
    from google.protobuf.json_format import MessageToDict  # noqa: PLC0415 - needed for these files only

    return dict(MessageToDict(message, preserving_proto_field_name=True))


@cache
def _classes(kind: Kind) -> dict[str, type[Message]]:
    try:
        from google.protobuf import descriptor_pool, message_factory, timestamp_pb2  # noqa: PLC0415 - needed for these files only
    except ImportError as exc:
        raise ConfigError("benchmark textprotos need the package protobuf: pip install 'pytest-inferbench[formats]'") from exc
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file_descriptor(proto_text(), kind).SerializeToString())
    return {str(name): found for name, found in message_factory.GetMessageClassesForFiles([PROTO], pool).items()}


def file_descriptor(text: str, kind: Kind = "plain") -> FileDescriptorProto:
    """What protoc makes of such a file; of the part of its language that our file uses, and no more."""
    from google.protobuf.descriptor_pb2 import FileDescriptorProto  # noqa: PLC0415 - needed for these files only

    file = FileDescriptorProto(name=PROTO, package=PACKAGE, dependency=["google/protobuf/timestamp.proto"], syntax=_SYNTAX[kind])
    if kind == "written":
        file.ClearField("syntax")  # proto2 is what goes without saying
    in_oneof = False
    for line in (line.strip() for line in text.splitlines()):
        if found := _MESSAGE.fullmatch(line):
            file.message_type.add(name=found[1])
        elif found := _ONEOF.fullmatch(line):
            file.message_type[-1].oneof_decl.add(name=found[1])
            in_oneof = True
        elif found := _FIELD.fullmatch(line):
            _add_field(file.message_type[-1], found, in_oneof=in_oneof)
        elif line == "}":
            in_oneof = False
    return file


def _add_field(message: DescriptorProto, found: re.Match[str], *, in_oneof: bool) -> None:
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field  # noqa: PLC0415 - needed for these files only

    scalars = {"string": Field.TYPE_STRING, "bool": Field.TYPE_BOOL, "int32": Field.TYPE_INT32, "float": Field.TYPE_FLOAT}
    repeated, type_name, name, number = found.groups()
    label = Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL
    field = message.field.add(name=name, number=int(number), label=label, type=scalars.get(type_name, Field.TYPE_MESSAGE))
    if type_name not in scalars:
        field.type_name = f".{type_name}" if type_name == _TIMESTAMP else f".{PACKAGE}.{type_name}"
    if in_oneof:
        field.oneof_index = len(message.oneof_decl) - 1
