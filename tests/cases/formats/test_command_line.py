import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.cases.formats.command_line import (
    Arguments,
    Command,
    Option,
    Tool,
    arguments,
    aside,
    commands,
    flag,
    logical_lines,
    unmeant,
    value,
)
from pytest_inferbench.cases.formats.format import Source
from pytest_inferbench.errors import ConfigError

TOOL = Tool(
    name="tool",
    abbreviates=True,
    options=(
        value("--rate", "-r"),
        value("--min-tokens"),
        value("--data", many=True),
        flag("--stream"),
        Option(names=("--extra",), takes="values", many=True),
        aside("--save"),
        unmeant("nobody does that here", "--dance"),
    ),
)


def found(text: str) -> tuple[tuple[Command, ...], tuple[str, ...]]:
    return commands(Source(path="run.sh", text=text), lambda words: words[0] == "tool")


def words(text: str) -> tuple[str, ...]:
    (command,), _ = found(text)
    return command.words


def read(text: str, *, lenient: bool = False, tool: Tool = TOOL) -> Arguments:
    (command,), _ = found(text)
    return arguments(command, tool, skip=1, lenient=lenient)


def problem_of(text: str, *, lenient: bool = False) -> str:
    with pytest.raises(ConfigError) as error:
        read(text, lenient=lenient)
    return str(error.value)


def test_lines_that_a_backslash_continues_are_one_command() -> None:
    assert list(logical_lines("a \\\n  b\n\nc\nd \\")) == [(1, "a    b"), (3, ""), (4, "c"), (5, "d ")]


def test_variables_come_from_the_file_alone_and_not_into_single_quotes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATE", "9")
    assert words("export RATE=5\nN=2 tool $RATE ${RATE}x ${NOPE:-3} '$RATE' \"$RATE\"") == ("tool", "5", "5x", "3", "$RATE", "5")
    (command,), _ = found("export RATE=5\nN=2 tool\n")
    assert command.env == {"RATE": "5", "N": "2"}


def test_where_output_goes_is_no_part_of_a_command() -> None:
    assert words("tool --rate 1 > log 2>&1") == ("tool", "--rate", "1")
    assert words("tool --rate 1 2>&1 | tee log") == ("tool", "--rate", "1")


def test_several_commands_of_a_line_are_several() -> None:
    many, _ = found("cd here && tool a; tool b")
    assert [command.words for command in many] == [("tool", "a"), ("tool", "b")]


def test_commands_of_others_are_told_of_and_not_run() -> None:
    _, notes = found("#!/bin/sh\nset -e\n# pip\npip install secret\ntool a\n")
    assert notes == ("pip on line 4 is not run",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tool $RATE", "run.sh:1: $RATE is not set in the file; write its value"),
        ("\ntool $(date)", "run.sh:2: holds the output of another command, which is not run; write it out"),
        ("tool 'a", "run.sh:1: cannot be split into words: no closing quotation"),
        ("for c in 1 2\ndo\ntool $c\ndone", "run.sh:3: $c is not set in the file"),
        ("for c in 1 2\ndo\ntool a\ndone", "run.sh:3: stands in a loop or a condition, which is not run; write each command out"),
        ("echo tool", "run.sh: holds no command that can be read"),
    ],
)
def test_what_only_a_shell_can_know_is_an_error(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        found(text)
    assert problem in str(error.value)


def test_both_spellings_short_names_and_lists_are_read() -> None:
    given = read("tool -r 5 --data=a --data b --stream --extra x:1 y:2 --extra z:3")
    assert given.last("--rate") == "5"
    assert given.all("--data") == ["a", "b"]
    assert given.flag("--stream")
    assert not given.flag("--rate-limit")
    assert given.all("--extra") == ["x:1", "y:2", "z:3"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "tool \\\n --rate 1 \\\n --rat 2x",
            "run.sh:3: --rat: is no option; tool takes it for --rate, of which it is the beginning",
        ),
        ("tool --minimum-tokens 1", "--minimum-tokens: unknown option (did you mean '--min-tokens'?); tool refuses it"),
        ("tool --rate", "--rate: has no value"),
        ("tool --rate --stream", "--rate: has no value"),
        ("tool --stream=yes", "--stream: takes no value"),
        ("tool stray", "'stray' belongs to no option; tool refuses it"),
        ("tool --rate 1 --rate 2", "--rate: is given twice; the original takes the last one: keep one"),
        ("tool --dance 1", "--dance: nobody does that here"),
    ],
)
def test_what_the_tool_swallows_or_refuses_is_an_error_at_its_line(text: str, problem: str) -> None:
    assert problem in problem_of(text)


def test_a_stray_word_that_may_be_a_key_is_not_shown() -> None:
    assert "hf_abcdefghijklmnopqrstuvwxyz" not in problem_of("tool hf_abcdefghijklmnopqrstuvwxyz")


def test_lenient_reading_does_as_the_tool_does_and_notes_it() -> None:
    given = read("tool --rat 1 --rate 2 --dance x", lenient=True)
    assert given.last("--rate") == "2"
    assert [note.partition(":")[0] for note in given.notes] == ["--rat", "--rate", "--dance"]
    assert "unknown option" in problem_of("tool --tare 1", lenient=True)


def test_a_tool_that_abbreviates_nothing_has_no_beginnings() -> None:
    with pytest.raises(ConfigError, match="unknown option"):
        read("tool --rat 1", tool=Tool(name="tool", options=TOOL.options))


def test_what_is_about_the_tools_own_run_is_one_note() -> None:
    given = read("tool --save a --save b")
    assert given.notes == ["not carried over, being about tool's own run and output: --save"]


def test_numbers_are_numbers() -> None:
    given = read("tool --rate 2.50 --min-tokens 007")
    assert (given.number("--rate"), given.whole("--min-tokens"), given.number("--data")) == (2.5, 7, None)
    assert read("tool --rate 1e1").number("--rate") == 10


@pytest.mark.parametrize(
    ("text", "problem"), [("nan", "a number above 0, not 'nan'"), ("-1", "above 0"), ("0", "above 0"), ("x", "above 0")]
)
def test_what_is_no_number_is_an_error(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        read(f"tool --rate={text}").number("--rate")
    with pytest.raises(ConfigError, match="must be a whole number from 1"):
        read(f"tool --rate={text}").whole("--rate")


def test_an_option_that_must_be_there_is_missed() -> None:
    with pytest.raises(ConfigError, match=r"run.sh:1: --rate is missing"):
        read("tool").text("--rate")


@given(st.lists(st.text(alphabet="ab \"'$\\#;|&>=-{}()", max_size=12), max_size=6))
def test_any_text_makes_commands_or_one_clear_error(lines: list[str]) -> None:
    try:
        many, _ = found("\n".join(["tool", *lines]))
    except ConfigError as error:
        told = str(error)
    else:
        told = f"run.sh: {many[0].words[0]}"
    assert told.startswith("run.sh")
    assert told != "run.sh: holds no command that can be read"
