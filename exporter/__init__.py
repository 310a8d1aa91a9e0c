"""A Prometheus exporter of media usage: exact counters from vendors' windowed totals."""

__version__ = "0.1.0"
