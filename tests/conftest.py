"""What all tests share: the table of attacks."""

from tests.attack.reporting import attack, pytest_collection_modifyitems, pytest_terminal_summary

__all__ = ["attack", "pytest_collection_modifyitems", "pytest_terminal_summary"]
