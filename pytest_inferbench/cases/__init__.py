"""Collect: what a person wrote becomes cases."""
