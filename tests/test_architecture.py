"""
What holds the shape of the project, read from its sources with `ast`.

Rule: a check is a function from source text to complaints, so that a test can show that it complains.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "pytest_inferbench"
STAGES = ("cases", "devices", "engines", "launch", "load", "metrics", "objectives", "records", "reporting")
FOR_ALL = frozenset({"errors", "units", "redaction"})
LINES_MAX = 600
FUNCTION_LINES_MAX = 70
VAGUE_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "manager", "misc"})

# Each library behind a seam of ours: the only modules that may import it; a name that ends in / is a folder of them.
LIBRARIES = {
    "PIL": ("load/images.py",),
    "alembic": ("records/history/",),
    "amdsmi": ("devices/amd.py",),
    "docker": ("launch/docker_sdk.py",),
    "fsspec": ("records/artifact_store.py",),
    "gguf": ("load/tokens.py",),
    "google": ("cases/formats/gie_messages.py",),
    "httptools": ("load/connection.py", "load/http1.py", "load/wire.py", "simulator/server/connection.py"),
    "httpx": ("launch/probe.py",),
    "matplotlib": ("reporting/plots.py",),
    "prometheus_client": ("metrics/telemetry/exposition.py",),
    "pyarrow": ("load/datasets/hf.py", "records/tables.py", "records/telemetry.py"),
    "pynvml": ("devices/nvml.py", "metrics/telemetry/gpu_source.py"),
    "pytest_html": ("reporting/html.py",),
    "scipy": ("objectives/bounds.py",),
    "sqlalchemy": ("records/history/",),
    "tokenizers": ("load/tokens.py",),
    "xllamacpp": ("launch/llamacpp_server.py",),
    "yaml": ("cases/formats/gateway_manifests.py", "cases/readers.py"),
}
# Collecting must stay as light as plain pytest.
HEAVY = (
    "PIL",
    "alembic",
    "amdsmi",
    "docker",
    "fsspec",
    "gguf",
    "httptools",
    "httpx",
    "matplotlib",
    "numpy",
    "pandas",
    "prometheus_client",
    "pyarrow",
    "pynvml",
    "scipy",
    "sqlalchemy",
    "tokenizers",
    "xllamacpp",
)

# Modules with code and no test file of their own name, and why.
TESTED_ELSEWHERE = {
    "load/loopback/__main__.py": "the entry of a process that the tests of load/loopback/process.py start",
}

MODULES = sorted(path.relative_to(ROOT / PACKAGE).as_posix() for path in (ROOT / PACKAGE).rglob("*.py"))
SOURCES = sorted(
    path.relative_to(ROOT).as_posix()
    for top in (PACKAGE, "fixtures", "suites", "tests", "conftest.py", "quickstart.py")
    for path in ([ROOT / top] if (ROOT / top).is_file() else (ROOT / top).rglob("*.py"))
)


def imports(source: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything imported, also inside functions; a relative import begins with a dot."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def import_complaints(module: str, source: str) -> list[str]:
    """Imports that the map in docs/architecture.md forbids to a module of the package."""
    stage = module.partition("/")[0]
    found = []
    for line, name in imports(source):
        top, _, rest = name.partition(".")
        inner = rest.partition(".")[0]
        if not top:
            found.append(f"{module}:{line}: relative import; write {PACKAGE}. in full")
        elif top == PACKAGE and inner == "plugin":
            found.append(f"{module}:{line}: nothing imports plugin")
        elif stage in STAGES and top == PACKAGE and inner not in {*STAGES[: STAGES.index(stage) + 1], *FOR_ALL}:
            found.append(f"{module}:{line}: {stage} comes before {inner} and must not import it")
        elif stage in STAGES and top in {"pytest", "_pytest"} and module != "reporting/html.py":
            found.append(f"{module}:{line}: a stage does not know pytest")
        elif top in LIBRARIES and not any(
            module == door or (door[-1] == "/" and module.startswith(door)) for door in LIBRARIES[top]
        ):
            found.append(
                f"{module}:{line}: {top} belongs to {', '.join(LIBRARIES[top]) or 'no module yet'} (LIBRARIES in this test)"
            )
    return found


def shape_complaints(module: str, source: str) -> list[str]:
    """Files and functions that are too long."""
    found = [f"{module}: {n} lines, more than {LINES_MAX}" for n in [len(source.splitlines())] if n > LINES_MAX]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                found.append(f"{module}:{node.lineno}: {node.name} has {lines} lines, more than {FUNCTION_LINES_MAX}")
    return found


def call_complaints(module: str, source: str) -> list[str]:
    """Calls that have no place in the package: ``print``, and ``time.time``, which may jump."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        if ast.unparse(node.func) == "print":
            found.append(f"{module}:{node.lineno}: print; terminal output goes through reporting/terminal.py")
        elif ast.unparse(node.func) == "time.time":
            found.append(f"{module}:{node.lineno}: time.time(); durations come from perf_counter_ns, labels from datetime")
    names = [line for line, name in imports(source) if name == "time.time"]
    return found + [f"{module}:{line}: time.time imported; durations come from perf_counter_ns" for line in names]


def has_code(source: str) -> bool:
    """True where some function does something: more than a docstring, ``...`` or ``pass``."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lines = [line for function in functions for line in function.body]
    return any(
        not isinstance(line, ast.Pass) and not (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
        for line in lines
    )


def mirror_of(module: str) -> str:
    """Where the tests of a module belong: the same place in the tree of tests."""
    folder, _, name = module.replace("/__init__.py", ".py").rpartition("/")
    return f"tests/{folder}/test_{name}"


def hold(complaints: list[str]) -> None:
    """Fail with the complaints alone, one a line."""
    if complaints:
        pytest.fail("\n".join(complaints), pytrace=False)


def read(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_the_map_allows(module: str) -> None:
    hold(import_complaints(module, read(f"{PACKAGE}/{module}")))


@pytest.mark.parametrize("module", MODULES)
def test_a_module_calls_nothing_that_has_no_place_in_the_package(module: str) -> None:
    hold(call_complaints(module, read(f"{PACKAGE}/{module}")))


@pytest.mark.parametrize("source", SOURCES)
def test_files_and_functions_stay_short(source: str) -> None:
    hold(shape_complaints(source, read(source)))


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_says_in_one_line_what_it_is(stage: str) -> None:
    tree = ast.parse(read(f"{PACKAGE}/{stage}/__init__.py"))
    docstring = ast.get_docstring(tree) or ""
    assert docstring.endswith(".")
    assert len(docstring.splitlines()) == 1
    assert len(tree.body) == 1, "a stage's __init__.py holds its docstring and nothing else"


def test_folders_of_the_package_are_the_stages_in_the_order_of_a_cases_life() -> None:
    folders = sorted(path.name for path in (ROOT / PACKAGE).iterdir() if path.is_dir() and path.name != "__pycache__")
    assert folders == [*STAGES, "simulator"]


def test_no_module_has_a_name_that_says_nothing() -> None:
    vague = [module for module in MODULES if VAGUE_NAMES & {part.removesuffix(".py").strip("_") for part in module.split("/")}]
    assert vague == []


@pytest.mark.parametrize("module", [module for module in MODULES if module.partition("/")[0] in STAGES])
def test_tests_mirror_the_tree(module: str) -> None:
    has_tests = (ROOT / mirror_of(module)).exists()
    if has_tests and module in TESTED_ELSEWHERE:
        pytest.fail(f"{module} has tests of its own now: take it out of TESTED_ELSEWHERE", pytrace=False)
    if has_code(read(f"{PACKAGE}/{module}")) and not has_tests and module not in TESTED_ELSEWHERE:
        pytest.fail(f"{module} has code and no tests: write {mirror_of(module)}, or a reason in TESTED_ELSEWHERE", pytrace=False)


def test_exceptions_name_modules_that_exist() -> None:
    named = {*TESTED_ELSEWHERE, *(module for modules in LIBRARIES.values() for module in modules)}
    folders = {name for name in named if name.endswith("/") and any(module.startswith(name) for module in MODULES)}
    assert sorted(named - folders - set(MODULES)) == []


def test_collecting_imports_nothing_heavy() -> None:
    light = [module for module in MODULES if module.startswith("cases/") or module in {"plugin.py", "collection.py"}]
    names = [f"{PACKAGE}.{module.removesuffix('.py').removesuffix('/__init__').replace('/', '.')}" for module in light]
    code = f"import sys, {', '.join(names)}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("load/a.py", "from pytest_inferbench.records.record import Record", "load comes before records"),
        ("load/a.py", "def f():\n    import pytest_inferbench.metrics.books", "load comes before metrics"),
        ("load/a.py", "from pytest_inferbench import session", "must not import it"),
        ("reporting/a.py", "from pytest_inferbench.simulator import clock", "must not import it"),
        ("cases/a.py", "from . import case", "relative import"),
        ("session.py", "from pytest_inferbench import plugin", "nothing imports plugin"),
        ("metrics/a.py", "import pytest", "does not know pytest"),
        ("load/a.py", "import httpx", "httpx belongs to launch/probe.py"),
    ],
)
def test_a_forbidden_import_is_named(module: str, source: str, complaint: str) -> None:
    (found,) = import_complaints(module, source)
    assert complaint in found


def test_imports_up_the_tree_are_allowed() -> None:
    source = "from pytest_inferbench.cases.case import Case\nfrom pytest_inferbench import errors\nimport json"
    assert import_complaints("load/a.py", source) == []


@pytest.mark.parametrize("source", ["print(1)", "import time\ntime.time()", "from time import time"])
def test_a_call_that_has_no_place_is_named(source: str) -> None:
    assert len(call_complaints("load/a.py", source)) == 1


def test_length_is_counted() -> None:
    body = "    a = 1\n" * 70
    assert shape_complaints("a.py", f"def f() -> None:\n{body}") == ["a.py:1: f has 71 lines, more than 70"]
    assert shape_complaints("a.py", "a = 1\n" * 601) == ["a.py: 601 lines, more than 600"]


def test_a_declaration_is_not_code() -> None:
    assert not has_code('class A:\n    def f(self) -> int:\n        """Say."""\n        ...')
    assert has_code("def f() -> int:\n    return 1")
