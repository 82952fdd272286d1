"""Plain prompts, one a line."""

from __future__ import annotations

from pytest_inferbench.cases.case import Dataset
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.load.content import Message
from pytest_inferbench.load.datasets.rows import Sample
from pytest_inferbench.load.datasets.text_file import TextFile


class Prompts:
    """The lines of a file."""

    def __init__(self, file: TextFile, dataset: Dataset) -> None:
        self._file = file
        self._output_tokens = dataset.output_tokens

    def __len__(self) -> int:
        return len(self._file)

    def sample(self, index: int) -> Sample:
        """The line as the user's message."""
        return Sample((Message("user", self._file.text(index)),), output_tokens=self._output_tokens)


def read_lines(dataset: Dataset) -> Prompts:
    """
    A file of prompts.

    Raises:
        ConfigError: it cannot be read, has none, or fields are asked for, which lines do not have.
    """
    for name, value in (("prompt", dataset.prompt), ("output_tokens", dataset.output_field)):
        if value is not None:
            raise ConfigError(f"{value!r} asks for fields, and a line has none; use format: jsonl", field=f"dataset.{name}")
    return Prompts(TextFile(dataset.path), dataset)
