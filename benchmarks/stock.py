"""prometheus_client's own server, as its documentation shows it, with as many counters.

Run as `python -m benchmarks.stock PORT STREAMS`.
"""

from __future__ import annotations

import sys
import threading

from prometheus_client import REGISTRY, Counter, start_http_server


def main(port: int, streams: int) -> None:
    """Serve for ever."""
    labels = ("provider", "account", "kind", "stream")
    received = Counter("media_stream_received_bytes", "Bytes received.", labels)
    delivered = Counter("media_stream_delivered_bytes", "Bytes delivered.", labels)
    for number in range(streams):
        for counter in (received, delivered):
            child = counter.labels("millicast", "bench", "live", f"stream-{number:06d}")
            child.inc(number * 977_351)
    start_http_server(port, "127.0.0.1", registry=REGISTRY)
    threading.Event().wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
