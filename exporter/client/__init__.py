"""Asks vendors over HTTP: requests, pages, answers, and what several answers come to."""
