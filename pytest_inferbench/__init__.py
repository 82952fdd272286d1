"""LLM-serving benchmarks as parametrized pytest tests."""
