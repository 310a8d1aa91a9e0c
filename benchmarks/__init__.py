"""What the program costs, each comparison within one run on one machine; see docs/performance.md."""
