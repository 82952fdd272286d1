"""How requests are spelled and sent: what suites may say of it, and what a case gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.cases.case import ApiOptions, Case, Origin
from pytest_inferbench.cases.matrix import Options
from pytest_inferbench.cases.sending import api_options, checked_headers, checked_path
from pytest_inferbench.cases.suite import read_suite, suite_from_mapping
from pytest_inferbench.errors import ConfigError

BODY = {"input": "{prompt}", "parameters": {"max_new_tokens": "{output_tokens}", "seed": None}}


def cases(**fields: Any) -> tuple[Case, ...]:
    axes = {"hardware": "cpu", "engine": "openai", "model": "m", "traffic": "D(8,8)", "concurrency": 1}
    return suite_from_mapping({**axes, **fields}, "suite", Origin(file="test_x.py")).cases()


def test_a_suite_says_how_requests_are_sent() -> None:
    (case,) = cases(stream=False, path="/v1/{model}/chat?version=2", headers={"X-Team": "speed", "X-Key": "${HOUSE_KEY}"})
    assert case.api_options == ApiOptions(
        stream=False, path="/v1/{model}/chat?version=2", headers=(("X-Team", "speed"), ("X-Key", "${HOUSE_KEY}"))
    )
    assert cases()[0].api_options == ApiOptions()


def test_a_template_has_its_body_as_json_and_a_blank_in_it_is_null() -> None:
    (case,) = cases(api="template", path="/generate", body=BODY, text="outputs[0].text")
    assert (case.api_options.path, case.api_options.text) == ("/generate", "outputs[0].text")
    assert json.loads(case.api_options.body) == BODY
    assert cases(api="template", path="/generate", body=json.dumps(BODY), text="t")[0].api_options.body == json.dumps(BODY)


def test_only_templates_get_a_body_and_the_path_to_its_text() -> None:
    template, chat = cases(api=["template", "chat"], path="/p", body=BODY, text="t")
    assert (template.api_options.text, chat.api_options.text) == ("t", "")
    assert (bool(template.api_options.body), chat.api_options.body) == (True, "")
    assert chat.api_options.path == "/p"


def test_an_entry_changes_how_its_cases_are_sent() -> None:
    fast, whole = cases(concurrency=[1, 2], include=[{"concurrency": 2, "stream": False}])
    assert (fast.api_options.stream, whole.api_options.stream) == (True, False)


def test_a_certificate_lies_beside_the_file_that_names_it(tmp_path: Path) -> None:
    lines = [
        "hardware: cpu",
        "engine: openai",
        "ca_file: certs/house.pem",
        "matrix: {model: m, traffic: 'D(8,8)', concurrency: 1}",
    ]
    (tmp_path / "x.bench.yaml").write_text("\n".join(lines))
    assert read_suite(tmp_path / "x.bench.yaml").cases()[0].api_options.ca_file == str(tmp_path / "certs/house.pem")


@pytest.mark.parametrize("missing", ["path", "body", "text"])
def test_a_template_needs_all_three_of_its_parts(missing: str) -> None:
    given = {"path": "/p", "body": "{}", "text": "t"} | {missing: ""}
    with pytest.raises(ConfigError, match=f"^{missing}: is missing; api 'template' needs path, body and text$"):
        api_options("template", Options(path=given["path"] or None, body=given["body"], text=given["text"]))


@pytest.mark.parametrize("path", ["/", "/a/b-c_d.e", "/v2/models/{model}/generate", "/a?b=c&d=%20", "/a:predict"])
def test_paths_that_can_be_sent_are_taken(path: str) -> None:
    assert checked_path(path) == path


@pytest.mark.parametrize("path", ["", "a", "/a b", "/a#b", "/a{prompt}", "/a\r\nX: y", "/ä", "http://h/a"])
def test_other_paths_are_not(path: str) -> None:
    with pytest.raises(ConfigError, match="must begin with a slash"):
        checked_path(path)


def test_a_secret_is_never_shown_and_a_reference_is_none() -> None:
    assert checked_headers({"Authorization": "Bearer ${KEY}", "X-Trace": "1"}) == (
        ("Authorization", "Bearer ${KEY}"),
        ("X-Trace", "1"),
    )
    for name in ("Authorization", "Cookie", "X-Auth-Token"):
        with pytest.raises(ConfigError) as caught:
            checked_headers({name: "open-sesame-1"})
        assert "open-sesame" not in str(caught.value)
