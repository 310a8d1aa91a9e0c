"""A fifth provider that exists only here, to prove that one is a module and nothing more."""
