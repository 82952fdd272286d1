"""A program of its own: the simulated model server; no stage imports it."""
