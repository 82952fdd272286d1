import pytest

from pytest_inferbench.cases.formats.at_endpoint import address_note, at_endpoint, key_note, normal, path_of


def test_fields_without_a_value_are_left_out_and_false_stays() -> None:
    suite = at_endpoint("s", api="chat", matrix={"model": "m", "rate": None}, load={"requests": None}, stream=False, include=[])
    assert suite == {
        "suite": "s",
        "hardware": "cpu",
        "engine": "openai",
        "api": "chat",
        "matrix": {"model": "m"},
        "stream": False,
    }


@pytest.mark.parametrize(
    ("url", "api", "path"),
    [
        ("http://h:1/v1/chat/completions", "chat", None),
        ("http://h:1/v1", "chat", None),
        ("h:1", "chat", None),
        (None, "chat", None),
        ("http://h:1/v2/chat", "chat", "/v2/chat"),
        ("http://h:1/v1/completions", "chat", "/v1/completions"),
    ],
)
def test_a_path_is_said_where_it_is_not_the_apis_own(url: str | None, api: str, path: str | None) -> None:
    assert path_of(url, api) == path


def test_a_password_in_an_address_goes_no_further() -> None:
    notes = " ".join(address_note("https://me:hunter2@host:1/v1?key=k"))
    assert "--inferbench-endpoint https://host:1" in notes
    assert "hunter2" not in notes
    assert "key=k" not in notes


def test_a_missing_address_is_asked_for() -> None:
    assert "no endpoint stands in it: give one with --inferbench-endpoint URL" in address_note(None)


def test_a_key_is_told_of_by_its_option() -> None:
    assert key_note("--api-key").startswith("--api-key: a key is not taken over: set INFERBENCH_API_KEY")


def test_lengths_without_deviation_are_fixed() -> None:
    assert normal(512, 0, 128, 0) == "D(512,128)"
    assert normal(512.4, 9.5, 128, 0) == "N(512,10)/(128,0)"
