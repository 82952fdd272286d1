"""The notebook reports/analysis.ipynb, as Jupyter runs it, on a run that was just made and on a history of two."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.records.history.deliver import record_run
from pytest_inferbench.records.run_directory import RUN_FILE
from tests.sessions import INI, own_server, pytest_argv, suite

NOTEBOOK = Path(__file__).parents[2] / "reports" / "analysis.ipynb"
LIMIT_S = 300.0
EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient

source, parameters, target = sys.argv[1:]
notebook = nbformat.read(source, as_version=4)
nbformat.validate(notebook)
(cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
cell.source = parameters
NotebookClient(notebook, timeout=240, kernel_name="python3").execute()
nbformat.write(notebook, target)
"""


def executed(folder: Path, parameters: str) -> dict[str, Any]:
    """The notebook after a run of all its cells in a kernel of its own, which works in ``folder``."""
    lacking = [name for name in ("nbclient", "nbformat", "ipykernel") if importlib.util.find_spec(name) is None]
    if lacking:
        pytest.skip(f"{', '.join(lacking)} not installed")
    places = {name: str(folder / "jupyter") for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "MPLCONFIGDIR")}
    target = folder / "executed.ipynb"
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE, str(NOTEBOOK), parameters, str(target)],
        cwd=folder,
        env={**os.environ, **places, "PYTHONPATH": str(NOTEBOOK.parents[1])},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stderr
    notebook: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
    return notebook


def outputs(notebook: dict[str, Any], heading: str) -> list[dict[str, Any]]:
    """What the code below a heading put out."""
    cells = notebook["cells"]
    (place,) = [i for i, cell in enumerate(cells) if "".join(cell["source"]).startswith(f"## {heading}\n")]
    found: list[dict[str, Any]] = []
    for cell in cells[place + 1 :]:
        if cell["cell_type"] == "markdown":
            break
        found += cell["outputs"]
    return found


def pictures(notebook: dict[str, Any], heading: str) -> int:
    return sum("image/png" in each.get("data", {}) for each in outputs(notebook, heading))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a real run of three cases in two groups."""
    folder = tmp_path_factory.mktemp("notebook")
    (folder / "pytest.ini").write_text(INI, encoding="utf-8")
    (folder / "closed.bench.yaml").write_text(suite("closed", engine=own_server()), encoding="utf-8")
    rate = suite("open", engine=own_server(), concurrency="[1]").replace("concurrency: [1]", "rate: [20]")
    (folder / "open.bench.yaml").write_text(rate, encoding="utf-8")
    done = subprocess.run(
        pytest_argv("-p", "no:html", "-p", "no:xdist", "-q"),
        cwd=folder,
        env={**os.environ, "INFERBENCH_STATE": str(folder / "state"), "INFERBENCH_STORE": "none"},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert len(list(folder.glob("reports/runs/*/*/summary.json"))) == 3, done.stdout + done.stderr
    return folder


def test_it_is_stored_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) >= 8
    assert [(cell["outputs"], cell["execution_count"]) for cell in code] == [([], None)] * len(code)


def test_it_draws_the_charts_of_a_run(folder: Path) -> None:
    notebook = executed(folder, 'RUN = "reports/latest"\nSTORE = None')
    assert "3 cases, 3 with figures" in json.dumps(notebook)
    tables = "".join("".join(each["data"]["text/html"]) for each in outputs(notebook, "Verdicts"))
    assert tables.count("ttft_p99 &lt;= 30000ms") == 3
    assert pictures(notebook, "Throughput against latency") == 2
    assert pictures(notebook, "Latency and throughput against load") == 2
    assert pictures(notebook, "Speed of a user against throughput of a GPU") == 1
    assert pictures(notebook, "How latencies are distributed") == 1
    assert pictures(notebook, "Over time") == 0


def test_it_draws_the_history_of_each_case(folder: Path) -> None:
    (first,) = (folder / "reports" / "runs").iterdir()
    second = folder / "second"
    shutil.copytree(first, second)
    for path in (second / RUN_FILE, second / "results.json", *second.glob("*/*.json")):
        path.chmod(0o644)
        path.write_text(path.read_text(encoding="utf-8").replace(first.name, "another-run"), encoding="utf-8")
    url = f"sqlite:///{folder}/history.sqlite"
    assert record_run(first, url=url) == ()
    assert record_run(second, url=url) == ()
    notebook = executed(folder, f"RUN = None\nSTORE = {url!r}")
    assert "6 cases, 6 with figures" in json.dumps(notebook)
    assert pictures(notebook, "Throughput against latency") == 2
    assert pictures(notebook, "Over time") == 3
    assert pictures(notebook, "How latencies are distributed") == 0
