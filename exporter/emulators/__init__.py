"""Stand-ins for the four vendors' usage APIs, for demos, for tests and for other people's tests."""
