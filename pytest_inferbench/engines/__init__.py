"""Serve: what a model server is."""
