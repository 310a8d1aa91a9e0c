"""The HTTP server: metrics for Prometheus, pages and JSON for people."""
