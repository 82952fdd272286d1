"""Folders of Hugging Face ``datasets``, and of Parquet files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import ipc, parquet

from pytest_inferbench.errors import ConfigError
from tests.load.datasets.opening import opened, problem, samples, user


def save_to_disk(folder: Path, *parts: list[dict[str, Any]]) -> Path:
    """What ``datasets.Dataset.save_to_disk`` writes, but for files that are not read."""
    folder.mkdir(parents=True)
    names = [f"data-{index:05}-of-{len(parts):05}.arrow" for index in range(len(parts))]
    for name, rows in zip(names, parts, strict=True):
        table = pa.Table.from_pylist(rows)
        with pa.OSFile(str(folder / name), "wb") as sink, ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names], "_split": "train"}))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def prompts(*texts: str) -> list[dict[str, Any]]:
    return [{"prompt": text, "n": len(text)} for text in texts]


def test_a_saved_data_set_is_read_part_by_part(tmp_path: Path) -> None:
    folder = save_to_disk(tmp_path / "saved", prompts("a", "bb"), prompts("ccc"), prompts("dddd", "e"))
    assert samples(opened(folder, "hf")) == [user(text) for text in ("a", "bb", "ccc", "dddd", "e")]
    assert opened(folder, "hf", output_field="n").sample(3) == user("dddd", output_tokens=4)


def test_a_folder_of_parquet_files_is_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name, texts in (("b", ("c",)), ("a", ("a", "b"))):
        parquet.write_table(pa.Table.from_pylist(prompts(*texts)), tmp_path / f"{name}.parquet")
    assert samples(opened(tmp_path, "hf")) == [user(text) for text in "abc"]


def test_a_set_of_splits_names_them(tmp_path: Path) -> None:
    save_to_disk(tmp_path / "set" / "train", prompts("a"))
    (tmp_path / "set" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert problem(tmp_path / "set", "hf") == "/set: has several splits; give the path of one of them: train, test"


def test_a_folder_that_points_outside_itself_is_not_followed(tmp_path: Path) -> None:
    folder = save_to_disk(tmp_path / "saved", prompts("a"))
    (tmp_path / "secret.arrow").write_bytes(b"secret")
    (folder / "state.json").write_text('{"_data_files": [{"filename": "../secret.arrow"}]}')
    found = problem(folder, "hf")
    assert found.startswith("/saved/secret.arrow: cannot be read as a table: ")


def test_broken_folders_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert problem(tmp_path / "empty", "hf") == "/empty: is no data set: neither state.json nor a Parquet file is in it"
    folder = save_to_disk(tmp_path / "saved", prompts("a"))
    (folder / "data-00000-of-00001.arrow").write_bytes(b"not arrow at all")
    assert problem(folder, "hf").startswith("/saved/data-00000-of-00001.arrow: cannot be read as a table: ")
    (folder / "state.json").write_text("[]")
    assert problem(folder, "hf") == "/saved/state.json: is JSON, but no object"
    (folder / "state.json").write_text("{")
    assert problem(folder, "hf").startswith("/saved/state.json: cannot be read: ")
    (folder / "state.json").write_text("{}")
    assert problem(folder, "hf") == "/saved: has no rows"


def test_a_row_that_is_no_request_is_named_with_its_file(tmp_path: Path) -> None:
    folder = save_to_disk(tmp_path / "saved", prompts("a"), [{"prompt": " ", "n": 1}])
    with pytest.raises(ConfigError) as caught:
        opened(folder, "hf").sample(1)
    assert str(caught.value) == f"{folder}/data-00001-of-00002.arrow: row 0: has an empty prompt"
