"""Judge: figures become verdicts."""
