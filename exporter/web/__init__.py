"""Answers scrapers and people over HTTP."""
