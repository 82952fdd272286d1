"""Where compared clients are found or put."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from suites.fidelity.peer_places import NotInstalled, Places
from suites.fidelity.peer_tools import OURS, TOOLS

NEWER = replace(TOOLS["aiperf"], python=(9, 9))


def python_without_packages(folder: Path) -> Path:
    """A program that makes an environment as ``python -m venv --clear`` does, in which pip finds nothing."""
    program = folder / "python9.9"
    pip = "#!/bin/sh\\necho 'ERROR: no such package' >&2; exit 1\\n"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = -c ] && exit\nmkdir -p "$4/bin"; printf "{pip}" > "$4/bin/python"; chmod +x "$4/bin/python"\n'
    )
    program.chmod(0o755)
    return program


def test_a_given_environment_is_used_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "aiperf").touch()
    places = Places(cache=tmp_path / "none", given={"aiperf": tmp_path})
    assert places.command("aiperf", TOOLS["aiperf"]) == [str(tmp_path / "bin" / "aiperf")]
    assert not (tmp_path / "none").exists()


def test_a_given_environment_without_the_client_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotInstalled) as caught:
        Places(cache=tmp_path, given={"vllm": tmp_path}).command("vllm", TOOLS["vllm"])
    program = tmp_path / "bin" / "vllm"
    assert str(caught.value) == f"there is no {program}; name another environment with --env vllm=FOLDER"


def test_this_project_is_run_from_where_it_is(tmp_path: Path) -> None:
    assert Places(cache=tmp_path, given={}).command(OURS, TOOLS[OURS])[1:] == ["-m", "pytest_inferbench.cli"]


def test_an_installation_that_fails_says_so_in_the_words_of_pip_and_leaves_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    cache = tmp_path / "cache"
    places = Places(cache=cache, given={}, python=str(python_without_packages(tmp_path)), pip=["--no-index"], say=said.append)
    with pytest.raises(NotInstalled, match=r"--no-index aiperf==0\.13\.0 failed: ERROR: no such package$"):
        places.command("aiperf", NEWER)
    assert list(cache.iterdir()) == []
    assert said == [f"installing aiperf==0.13.0 in {cache / 'aiperf-0.13.0'}"]


@pytest.mark.parametrize("name", ["no-such-python", "false"])
def test_a_python_that_is_missing_or_is_none_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotInstalled) as caught:
        Places(cache=tmp_path, given={}, python=name).command("aiperf", NEWER)
    assert str(caught.value) == ("aiperf==0.13.0 needs Python 9.9, and there is none on PATH; name one with --python312")
