"""Decides what is requested of each account and when, and has the answers recorded and shown."""
