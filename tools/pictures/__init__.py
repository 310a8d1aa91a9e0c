"""Pictures of the dashboards for the README, plotted from the demo's data.

``python -m tools.pictures`` lets the exporter poll the emulated vendors through a day and a bit on
a clock that is moved by hand, gives every page to a Prometheus as if it had scraped it, asks the
queries that the dashboards hold, and plots the answers. Needs `prometheus` and `promtool`. The
pictures are not made by Grafana, and say so.
"""
