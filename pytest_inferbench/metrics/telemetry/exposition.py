"""
A server's metrics as text (Prometheus' exposition format) into samples.

Rule: the only module that knows `prometheus_client`.
"""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from pytest_inferbench.metrics.telemetry.names import Sample


class NoMetrics(Exception):
    """Text that is no metrics; says what is wrong with it."""


class Decoder:
    """
    Decodes one answer of a server after the other.

    Most lines of an answer are those of the answer before it, so a line is parsed once for as long as it comes again.
    """

    def __init__(self) -> None:
        self._known: dict[str, Sample] = {}

    def samples(self, text: str) -> list[Sample]:
        """
        The samples of one answer, in its order.

        Raises:
            NoMetrics: it is something else.
        """
        lines = [line for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#")]
        new = [line for line in lines if line not in self._known]
        parsed = dict(zip(new, _parsed(new), strict=True))
        self._known = {line: parsed[line] if line in parsed else self._known[line] for line in lines}
        return [self._known[line] for line in lines]


def _parsed(lines: list[str]) -> list[Sample]:
    try:
        families = list(text_string_to_metric_families("\n".join(lines) + "\n"))
    except (ValueError, IndexError, KeyError) as error:
        raise NoMetrics(str(error) or "a line of it cannot be read") from error
    found = [
        Sample(name=sample.name, labels=tuple(sorted(sample.labels.items())), value=float(sample.value))
        for family in families
        for sample in family.samples
    ]
    if len(found) != len(lines):
        raise NoMetrics(f"{len(lines)} lines of it hold {len(found)} samples")
    return found
