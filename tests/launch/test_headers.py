"""Headers come from the suite, their secrets from the environment."""

from __future__ import annotations

import pytest

from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch.headers import filled_headers


def test_references_are_read_from_the_environment_and_hidden_afterwards() -> None:
    headers = (("Authorization", "Bearer ${GATEWAY_KEY}"), ("X-Team", "speed"))
    filled = filled_headers(headers, environ={"GATEWAY_KEY": "open-sesame"})
    assert filled.headers == (("Authorization", "Bearer open-sesame"), ("X-Team", "speed"))
    assert filled.secrets.hidden_in("you sent open-sesame") == "you sent REDACTED"
    assert repr(filled) == "FilledHeaders(Authorization, X-Team)"


@pytest.mark.parametrize("environ", [{}, {"GATEWAY_KEY": ""}])
def test_a_variable_that_is_not_set_is_named(environ: dict[str, str]) -> None:
    with pytest.raises(
        EngineError, match=r"the header X-Key refers to \$\{GATEWAY_KEY\}, and no environment variable GATEWAY_KEY"
    ):
        filled_headers([("X-Key", "${GATEWAY_KEY}")], environ=environ)
