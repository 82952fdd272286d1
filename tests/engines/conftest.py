from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.cases.case import Case, EngineSpec, Lengths, Load, Traffic

ONE = Lengths(kind="fixed", first=1)
CASE = Case(
    id="cpu-llamacpp-m-tp1-d1x1-c1",
    suite="s",
    hardware="cpu",
    engine=EngineSpec(name="llamacpp"),
    model="smollm2-135m",
    tensor_parallel=1,
    traffic=Traffic(text="D(1,1)", input_tokens=ONE, output_tokens=ONE),
    load=Load(concurrency=1),
)


@pytest.fixture
def make_case() -> Callable[..., Case]:
    """Makes a case: the engine by name, its arguments and environment as mappings, or all of it and anything else as a field."""

    def make(engine: str, /, *, args: dict[str, Any] | None = None, env: dict[str, str] | None = None, **fields: Any) -> Case:
        spec = EngineSpec(name=engine, args=tuple((args or {}).items()), env=tuple((env or {}).items()))
        values = {name: getattr(CASE, name) for name in CASE.__slots__} | {"engine": spec} | fields
        return Case(**values)

    return make


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hugging Face cache."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    cache = tmp_path / "hub"
    cache.mkdir()
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    return cache


@pytest.fixture
def cached(hub_cache: Path) -> Callable[..., Path]:
    """Puts files of a hub model into the cache, as its own tools lay them out; gives the snapshot's folder."""

    def put(hub: str, files: dict[str, bytes], *, commit: str = "c0ffee", main: bool = True) -> Path:
        repo = hub_cache / f"models--{hub.replace('/', '--')}"
        snapshot = repo / "snapshots" / commit
        snapshot.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
            (snapshot / name).write_bytes(content)
        if main:
            (repo / "refs").mkdir(exist_ok=True)
            (repo / "refs" / "main").write_text(commit)
        return snapshot

    return put
