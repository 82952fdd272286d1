from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.cases.readers import Document, dotted, read_document
from pytest_inferbench.errors import ConfigError


def read(folder: Path, name: str, content: str | bytes) -> Document:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_document(path)


def error(folder: Path, name: str, content: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, name, content)
    assert caught.value.file == str(folder / name)
    return str(caught.value).removeprefix(f"{folder}/")


def test_yaml_keeps_the_line_of_every_field(tmp_path: Path) -> None:
    document = read(tmp_path, "a.yaml", "a: 1\nb:\n  - x\n  - {c: 2}\n")
    assert document.data == {"a": 1, "b": ["x", {"c": 2}]}
    assert document.line_of(("b", 1, "c")) == 4
    assert document.line_of(("b", 1, "unknown")) == 4
    assert document.line_of(("b", 0)) == 3


def test_toml_and_json_find_the_line_of_a_field_in_their_text(tmp_path: Path) -> None:
    toml = read(
        tmp_path, "a.toml", "suite='x'\n[matrix]\nmodel=['m']\n[load]\nrequests = 5\n[[include]]\nrate=1\n[[include]]\nrate=2\n"
    )
    assert toml.line_of(("matrix", "model", 0)) == 3
    assert toml.line_of(("load", "requests")) == 5
    assert [toml.line_of(("include", index, "rate")) for index in range(2)] == [7, 9]
    json = read(tmp_path, "a.json", '{"a": 1,\n "m": {"x": [1],\n"a": 2}}')
    assert json.line_of(("m", "a")) == 3
    assert json.line_of(("elsewhere",)) == 1


def test_anchors_and_merge_keys_work_and_own_keys_win(tmp_path: Path) -> None:
    text = "a: &x {b: 1, c: 2}\nd: &y\n  <<: *x\n  b: 3\ne: *y\nf: {<<: *y, b: 4}\n"
    data = read(tmp_path, "a.yaml", text).data
    assert data == {"a": {"b": 1, "c": 2}, "d": {"b": 3, "c": 2}, "e": {"b": 3, "c": 2}, "f": {"b": 4, "c": 2}}


def test_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    assert read(tmp_path, "a.yaml", b"\xef\xbb\xbfa: 1\r\nb: 2\r\n").data == {"a": 1, "b": 2}
    assert read(tmp_path, "a.toml", b"\xef\xbb\xbfa = 1\r\nb = 2\r\n").data == {"a": 1, "b": 2}
    assert read(tmp_path, "a.json", b'\xef\xbb\xbf{"a": 1}').data == {"a": 1}


def test_infinity_in_yaml(tmp_path: Path) -> None:
    assert read(tmp_path, "a.yaml", "a: .inf\nb: inf\nc: 1e3\n").data == {"a": float("inf"), "b": "inf", "c": "1e3"}


EMPTY = "the file is empty; a suite needs at least hardware, engine and matrix"
TOP = "the top level must be fields such as 'suite: name', not"
KEY = "cannot be the name of a field; put quotes round it if it is one"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", f"1: {EMPTY}"),
        ("  \n\n", f"1: {EMPTY}"),
        ("# a comment\n", f"1: {EMPTY}"),
        ("- 1\n", f"1: {TOP} a list"),
        ("hello\n", f"1: {TOP} text"),
        ("5\n", f"1: {TOP} a single value"),
        ("a: 1\na: 2\n", "2: a: is given twice, first on line 1; keep one"),
        ("m: {a: 1, a: 2}\n", "1: m.a: is given twice, first on line 1; keep one"),
        ("l:\n  - b: 1\n    b: 2\n", "3: l[0].b: is given twice, first on line 2; keep one"),
        ("a: 010\n", "1: a: 010 is an octal number to YAML; write it without the leading 0"),
        ("a: 1:30\n", "1: a: 1:30 is a base-60 number to YAML; write 1m30s, or put quotes round it"),
        ("a: NO\n", "1: a: NO is true or false to YAML; put quotes round it"),
        ("b: 1\na: [yes]\n", "2: a[0]: yes is true or false to YAML; put quotes round it"),
        ("env: {TOKEN: 0123456}\n", "1: env.TOKEN: the value is an octal number to YAML; write it without the leading 0"),
        ("yes: 1\n", f"1: 'yes' {KEY}"),
        ("1: 2\n", f"1: '1' {KEY}"),
        ("? [a]\n: 1\n", f"1: a sequence {KEY}"),
        ("a:\n\t- 1\n", "2: not YAML: a tab cannot indent or start a value; use spaces"),
        ("a: 1\nb: 'x\nc: 2\n", "2: not YAML: the quote opened here is never closed"),
        ("a: [1, 2\nb: 3\n", "2: not YAML: expected ',' or ']', but got ':' (while parsing a flow sequence)"),
        ("a b\nc: d\n", "2: not YAML: mapping values are not allowed here"),
        ("a: *nope\n", "1: not YAML: found undefined alias 'nope'"),
        ("a: 1\n---\nb: 2\n", "2: not YAML: but found another document (expected a single document in the stream)"),
        ("a: x\x01\n", "1: holds a control character, which YAML forbids"),
        ("a: !foo [1]\n", "1: a: tag '!foo' has no meaning in a suite"),
        ("a: 2020-99-99\n", "1: a: 2020-99-99 cannot be read as timestamp"),
        ("a: " + "9" * 5000 + "\n", "1: a: " + "9" * 40 + " cannot be read as int"),
        (b"a: 1\nb: \xff\n", "2: is not UTF-8 text (byte 0xff); save it as UTF-8"),
        ("a: 1\n".encode("utf-16"), "1: is not UTF-8 text (byte 0xff); save it as UTF-8"),
    ],
)
def test_a_broken_yaml_file_is_named_with_its_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    assert error(tmp_path, "a.yaml", content) == f"a.yaml:{message}"


def test_yaml_makes_no_python_objects(tmp_path: Path) -> None:
    message = error(tmp_path, "a.yaml", "a: !!python/object/apply:os.system [touch gone]\n")
    assert message == "a.yaml:1: a: tag 'tag:yaml.org,2002:python/object/apply:os.system' has no meaning in a suite"
    assert not Path("gone").exists()


def test_aliases_cannot_blow_up_nor_go_round_in_circles(tmp_path: Path) -> None:
    lines = ["a: &a [1,1,1,1,1,1,1,1,1,1]"]
    lines += [f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]" for before, name in zip("abcdefg", "bcdefgh", strict=True)]
    assert "holds more than 200000 values, aliases counted where they are used" in error(tmp_path, "a.yaml", "\n".join(lines))
    assert "holds more than 40 levels, aliases counted where they are used" in error(tmp_path, "b.yaml", "a: &x [*x]\n")
    assert error(tmp_path, "c.yaml", "a: " + "[" * 3000) == "c.yaml: is nested more than 40 levels deep"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.toml", "a=1\na=2\n", "2: not TOML: Cannot overwrite a value"),
        ("a.toml", "b=1\na=\n", "2: not TOML: Invalid value"),
        ("a.toml", "", f"1: {EMPTY}"),
        ("a.json", '{"a":1,\n"a":2}', "2: a: is given twice; keep one"),
        ("a.json", '{"a":\n', "2: not JSON: Expecting value"),
        ("a.json", "[1]", f"1: {TOP} a list"),
        ("a.json", "null", f"1: {EMPTY}"),
    ],
)
def test_a_broken_toml_or_json_file_is_named_with_its_line(tmp_path: Path, name: str, content: str, message: str) -> None:
    assert error(tmp_path, name, content) == f"{name}:{message}"


def test_json_and_toml_have_limits_too(tmp_path: Path) -> None:
    assert error(tmp_path, "a.json", "[" * 100_000) == "a.json: is nested too deeply"
    assert error(tmp_path, "a.json", '{"a": ' + "9" * 5000 + "}") == "a.json: not JSON: a number in it has too many digits"
    assert error(tmp_path, "a.toml", "a = " + "9" * 5000) == "a.toml: not TOML: a number or date in it cannot be read"


def test_a_file_that_is_not_there_or_no_suite_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_document(tmp_path / "nope.yaml")
    assert str(caught.value) == f"{tmp_path}/nope.yaml: cannot be read: No such file or directory"
    assert error(tmp_path, "a.txt", "x") == "a.txt: '.txt' is not a format of suite files; use .yaml, .yml, .toml or .json"
    assert error(tmp_path, "big.yaml", b"#" * (4 * 2**20 + 1)) == "big.yaml: is larger than 4 MiB, which no suite needs"


@given(content=st.one_of(st.binary(max_size=60), st.text(alphabet="ab:[]{}-&*!?|>'\"\n\t #<0y.", max_size=60)))
@pytest.mark.parametrize("name", ["a.yaml", "a.toml", "a.json"])
def test_whatever_is_in_a_file_it_is_data_or_an_error_for_people(
    tmp_path_factory: pytest.TempPathFactory, name: str, content: str | bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    outcome: Document | str | None
    try:
        outcome = read_document(path)
    except ConfigError as exc:
        outcome = exc.file
    assert outcome == str(path) or (isinstance(outcome, Document) and isinstance(outcome.data, dict))


def test_a_place_is_written_as_people_write_it() -> None:
    assert dotted(("matrix", "traffic", 1)) == "matrix.traffic[1]"
    assert dotted(()) == ""
