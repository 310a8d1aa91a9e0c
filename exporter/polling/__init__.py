"""Decides what to ask of each account and when, and hands on what is said."""
