"""A real browser that looks at a page, in windows of several widths."""

from __future__ import annotations

import html
import json
import re
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

# The frame is the window: media queries and overflow go by its size. Scripts run outside of it.
_OUTSIDE = """<!doctype html><title>outside</title><body><script>
const wanted = WANTED;
const seen = [];
function look(frame, page, width) {
  const inside = frame.contentDocument, root = inside.documentElement;
  const row = inside.querySelector('.account tbody tr');
  const box = one => one.getBoundingClientRect();
  const table = [...inside.querySelectorAll('.overview tbody tr')];
  seen.push({
    page, width,
    overflow: root.scrollWidth - root.clientWidth,
    styled: frame.contentWindow.getComputedStyle(inside.querySelector('.verdict')).backgroundColor,
    stacked: frame.contentWindow.getComputedStyle(row).display === 'block',
    verdict: box(inside.querySelector('.verdict')).top,
    rows: table.map(one => box(one).height),
    beyond: [...inside.querySelectorAll('.overview td, .overview th')].filter(one =>
      box(one).right > box(one.closest('section')).right
    ).length,
    headline: inside.querySelector('h1').textContent,
    small: [...inside.querySelectorAll('*')].filter(one =>
      one.textContent.trim() && parseFloat(frame.contentWindow.getComputedStyle(one).fontSize) < 12
    ).length,
  });
  if (seen.length === wanted.length) {
    const said = document.createElement('pre');
    said.id = 'seen';
    said.textContent = JSON.stringify(seen);
    document.body.append(said);
  }
}
for (const [page, width] of wanted) {
  const frame = document.createElement('iframe');
  frame.style.cssText = `width:${width}px;height:800px;border:0`;
  frame.onload = () => look(frame, page, width);
  frame.src = page;
  document.body.append(frame);
}
</script>"""


def measure(
    browser: Path, folder: Path, pages: Mapping[str, str], policy: str, widths: Sequence[int]
) -> list[dict[str, Any]]:
    """What the browser makes of each page, served under this policy, at each width."""
    wanted = [(f"/{name}", width) for name in pages for width in widths]
    answers = {f"/{name}": (page, policy) for name, page in pages.items()}
    answers["/"] = (_OUTSIDE.replace("WANTED", json.dumps(wanted)), "")
    done = _visit(browser, folder, answers, seconds=20)
    found = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found is not None, (done.stdout[-2000:], done.stderr[-2000:])
    seen: list[dict[str, Any]] = json.loads(html.unescape(found[1]))
    return seen


def after(browser: Path, folder: Path, page: str, policy: str, *, seconds: int) -> str:
    """What has become of a page so many seconds after it was loaded under this policy."""
    return _visit(browser, folder, {"/": (page, policy)}, seconds=seconds).stdout


def _visit(
    browser: Path, folder: Path, answers: Mapping[str, tuple[str, str]], *, seconds: int
) -> subprocess.CompletedProcess[str]:
    with _serving(answers) as address:
        return subprocess.run(
            [
                *(str(browser), "--headless", "--no-sandbox", "--disable-gpu"),
                *("--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"),
                f"--user-data-dir={folder / 'profile'}",
                *(f"--virtual-time-budget={seconds * 1000}", "--dump-dom", f"http://{address}/"),
            ],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )


@contextmanager
def _serving(answers: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page, policy = answers.get(self.path, ("", ""))
            self.send_response(200)
            self.send_header("content-type", "text/html; charset=utf-8")
            if policy:
                self.send_header("content-security-policy", policy)
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
