"""Store: everything a result needs to be believed."""
