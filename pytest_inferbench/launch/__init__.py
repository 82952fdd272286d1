"""Serve: where a model server runs, and how it is started and stopped."""
