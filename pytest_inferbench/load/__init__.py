"""Generate: the requests, their times, and the client that sends them."""
