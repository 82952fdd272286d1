"""Other systems' configurations as suites: one module a format, each known by its content."""
