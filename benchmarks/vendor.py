"""A Millicast that costs next to nothing: answers put together from prepared text.

Run as `python -m benchmarks.vendor PORT STREAMS`. It lists the streams, and gives each of the
names asked for four hours of traffic, different at every poll.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import cast
from urllib.parse import parse_qs, urlsplit

PAGE = 100
HOUR = 3600


class Millicast(asyncio.Protocol):
    """One connection; pipelining is not needed."""

    streams = 0
    polls = 0

    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            target = urlsplit(head.split(b" ", 2)[1].decode())
            query = parse_qs(target.query)
            body = self._listing(query) if "summary" in target.path else series(query, self.polls)
            assert self._transport is not None
            self._transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
                % (len(body), body)
            )

    def _listing(self, query: dict[str, list[str]]) -> bytes:
        page = int(query.get("page", ["1"])[0])
        if page == 1:
            Millicast.polls += 1
        names = range((page - 1) * PAGE, min(page * PAGE, self.streams))
        rows = [
            {"streamId": f"a/stream-{n:06d}", "streamName": f"stream-{n:06d}", "live": True}
            | {"viewerCount": n % 50}
            for n in names
        ]
        pages = -(-self.streams // PAGE)
        pagination = {"totalItems": self.streams, "totalPages": pages, "itemsOnPage": len(rows)}
        answer = {"status": "success", "data": {"pagination": pagination, "data": rows}}
        return json.dumps(answer).encode()


def series(query: dict[str, list[str]], polls: int) -> bytes:
    """Four closed or open hours of each stream, in the vendor's four maps."""
    hour = int(time.time()) // HOUR * HOUR
    times = [
        time.strftime("%Y-%m-%dT%H:00:00Z", time.gmtime(hour - age * HOUR)) for age in range(4)
    ]
    parts = []
    for name in query["streamNames"]:
        salt = int(name[-6:]) * 7919
        # Only the open hour grows from poll to poll.
        values = ",".join(
            f'"{when}":{{"bytesOut":{salt + 1000 + (polls if age == 0 else 0)},"bytesIn":{salt}}}'
            for age, when in enumerate(times)
        )
        parts.append(
            f'"{name}":{{"bandwidth":{{{values}}},"standardStream":{{{values}}},'
            '"restream":{},"geoCascade":{}}'
        )
    return f'{{"status":"success","data":{{{",".join(parts)}}}}}'.encode()


async def main(port: int, streams: int) -> None:
    """Serve for ever."""
    Millicast.streams = streams
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Millicast, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
