"""Loads what this repository's suites share."""

pytest_plugins = ["fixtures.catalogue", "fixtures.prompts", "fixtures.servers"]
