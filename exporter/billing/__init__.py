"""Prices usage by the contracts in the configuration."""
