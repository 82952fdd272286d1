import sys
from pathlib import Path

import pytest

pytest.importorskip("google.protobuf", reason="protobuf is not installed")

from google.protobuf import text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from pytest_inferbench.cases.formats import gie_messages
from pytest_inferbench.cases.formats.gie_messages import NotATextproto, file_descriptor, message_class, parsed, proto_text
from pytest_inferbench.errors import ConfigError


def test_the_reader_of_our_proto_file_makes_what_protoc_makes_of_it(tmp_path: Path) -> None:
    protoc = pytest.importorskip("grpc_tools.protoc", reason="grpcio-tools, which holds protoc, is not installed")
    source, target = tmp_path / "benchmark.proto", tmp_path / "out"
    source.write_text(proto_text())
    include = Path(protoc.__file__).parent / "_proto"
    arguments = ["protoc", f"-I{tmp_path}", f"-I{include}", f"--descriptor_set_out={target}", source.name]
    assert protoc.main(arguments) == 0
    compiled = FileDescriptorSet.FromString(target.read_bytes()).file[0]
    assert _without_json_names(compiled) == file_descriptor(proto_text())


def test_every_line_of_the_proto_file_is_one_that_its_reader_knows() -> None:
    fields = sum(len(message.field) for message in file_descriptor(proto_text()).message_type)
    assert fields == proto_text().count(" = ") - proto_text().count("syntax = ")


def test_plain_messages_cannot_tell_false_from_nothing_and_written_ones_can() -> None:
    text = 'benchmarks { name: "a" config { load_balancer { gateway { full_duplex_streaming_enabled: false } } } }'
    plain, written = (parsed(text, kind).benchmarks[0].config.load_balancer.gateway for kind in ("plain", "written"))
    assert not plain.ListFields()
    assert [field.name for field, _ in written.ListFields()] == ["full_duplex_streaming_enabled"]


def test_numbers_are_those_of_the_files_that_are_out_there() -> None:
    stat = message_class("Stat")()
    text_format.Parse('request_rate: 2.5 tpot { name: "tpot" p99: 3 }', stat)
    # 1: float 2.5; 7: a message of text in 1 and a float in 8.
    assert stat.SerializeToString().hex() == "0d00002040" + "3a0b" + "0a0474706f74" + "4500004040"


def _without_json_names(file: FileDescriptorProto) -> FileDescriptorProto:
    for message in file.message_type:
        for field in message.field:
            field.ClearField("json_name")
    return file


def test_without_protobuf_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    gie_messages._classes.cache_clear()
    monkeypatch.setitem(sys.modules, "google.protobuf", None)
    with pytest.raises(ConfigError, match=r"need the package protobuf: pip install 'pytest-inferbench\[formats\]'"):
        parsed('benchmarks { name: "a" }')


def test_a_text_that_is_none_is_told_with_its_line() -> None:
    with pytest.raises(NotATextproto, match='has no field named "nmae"') as error:
        parsed("benchmarks {\n  nmae: 1\n}")
    assert error.value.line == 2
