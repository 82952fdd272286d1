"""Measure: traces become figures."""
