"""Allocate: the hardware that is there, and who holds it."""
