"""What the GPUs and the server did while load ran, seen from a process of its own."""
