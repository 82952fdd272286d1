"""The history: the results of all runs in one database."""
