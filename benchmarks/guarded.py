"""Scrapes behind TLS and a password, beside nginx with the same, and while somebody guesses."""

from __future__ import annotations

import base64
import gzip
import socket
import ssl
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import bcrypt
import httpx
import trustme

from benchmarks.fixtures import configuration, ledger, serve
from benchmarks.machine import SERVER_CPU, free_port, program, running
from benchmarks.results import Result, median, ratio
from benchmarks.scraping import ROUNDS, Target, per_second

_USER, _PASSWORD = "prometheus", "correct horse"
_BCRYPT_COST = 10
"""That of `htpasswd -B` is 5; exporter-toolkit's documentation uses 10."""

_GUESSERS = 8


def _authorization(password: str) -> str:
    return "Basic " + base64.b64encode(f"{_USER}:{password}".encode()).decode()


_HEADERS = (f"Authorization: {_authorization(_PASSWORD)}",)


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _client(target: Target, password: str = _PASSWORD) -> httpx.Client:
    return httpx.Client(
        base_url=f"https://127.0.0.1:{target.port}",
        auth=(_USER, password),
        verify=_unverified(),
        trust_env=False,
        timeout=60,
    )


def _status(target: Target, password: str) -> int:
    with _client(target, password) as client:
        return client.get(target.path).status_code


def _cipher(target: Target) -> str:
    raw = socket.create_connection(("127.0.0.1", target.port), 10)
    with _unverified().wrap_socket(raw, server_hostname="localhost") as connection:
        cipher = connection.cipher()
        return cipher[0] if cipher else ""


@contextmanager
def _ours(folder: Path, streams: int) -> Iterator[Target]:
    hashed = bcrypt.hashpw(_PASSWORD.encode(), bcrypt.gensalt(_BCRYPT_COST)).decode()
    web = folder / "web.yml"
    web.write_text(
        f"tls_server_config: {{cert_file: cert.pem, key_file: key.pem}}\n"
        f"basic_auth_users: {{{_USER}: {hashed}}}\n"
    )
    ledger(folder / "usage.db", streams)
    target = Target(free_port(), "/metrics", "https", _HEADERS)
    command = serve(configuration(folder), target.port, "--web.config.file", str(web))
    with running(command, cpu=SERVER_CPU, log=folder / "exporter.log", port=target.port):
        time.sleep(2)  # its one poll, which fails, is over
        yield target


@contextmanager
def _nginx(folder: Path, page: bytes) -> Iterator[Target]:
    """Here nginx compares a password that is not hashed, which is the least that it can do."""
    binary = program("nginx-light", "nginx")
    assert binary is not None, "nginx is not to be had"
    root = folder / "root"
    root.mkdir()
    (root / "metrics").write_bytes(page)
    (root / "metrics.gz").write_bytes(gzip.compress(page, 6))
    (folder / "users").write_text(f"{_USER}:{{PLAIN}}{_PASSWORD}\n")
    target = Target(free_port(), "/metrics", "https", _HEADERS)
    (folder / "nginx.conf").write_text(
        f"""\
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1; user root;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
  server {{
    listen 127.0.0.1:{target.port} ssl; root {root}; gzip_static on; default_type text/plain;
    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    auth_basic usage; auth_basic_user_file {folder}/users;
  }}
}}
"""
    )
    command = [binary, "-c", str(folder / "nginx.conf"), "-p", str(folder)]
    with running(command, cpu=SERVER_CPU, log=folder / "nginx.log", port=target.port):
        yield target


@contextmanager
def _both(streams: int) -> Iterator[tuple[Target, Target]]:
    """The exporter and nginx with the same page, certificate and password."""
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        issued = trustme.CA().issue_cert("localhost", "127.0.0.1")
        (folder / "cert.pem").write_bytes(issued.cert_chain_pems[0].bytes())
        (folder / "key.pem").write_bytes(issued.private_key_pem.bytes())
        us = stack.enter_context(_ours(folder, streams))
        with _client(us) as client:
            page = client.get(us.path).raise_for_status().content
        them = stack.enter_context(_nginx(folder, page))
        assert _status(them, "wrong") == _status(us, "wrong") == 401
        assert _cipher(us) == _cipher(them) != ""
        yield us, them


def measure() -> list[Result]:
    """Small and large pages, and an attack."""
    return [*_throughput(1_000, 0.8), *_throughput(50_000, 1.0), _while_somebody_guesses(1_000)]


def _throughput(streams: int, target: float) -> list[Result]:
    wrk = program("wrk", "wrk")
    assert wrk is not None, "wrk is not to be had"
    with _both(streams) as (us, them):
        rates: dict[Target, list[float]] = {us: [], them: []}
        for _ in range(ROUNDS):
            for one, found in rates.items():
                found.append(per_second(wrk, one, compressed=True))
        mine, his = rates[us], rates[them]
    return [
        Result(
            "scrapes per second with TLS and a password, gzip, ÷ nginx with both",
            f"{streams * 2:,} series",
            ratio(mine, his),
            target=target,
            note=f"{median(mine):,.0f} and {median(his):,.0f} a second",
        )
    ]


def _while_somebody_guesses(streams: int) -> Result:
    """Guesses come over connections of their own, as fast as they are answered."""
    wrk = program("wrk", "wrk")
    assert wrk is not None, "wrk is not to be had"
    calm, attacked = [], []
    guesses = 0
    with _both(streams) as (us, _):
        for _ in range(ROUNDS):
            calm.append(per_second(wrk, us, compressed=True))
            stop = threading.Event()

            def guess(stop: threading.Event = stop) -> int:
                number = 0
                with _client(us) as client:
                    while not stop.is_set():
                        number += 1
                        answer = client.get(us.path, auth=(_USER, f"guess {number}"))
                        assert answer.status_code in (401, 503)
                return number

            with ThreadPoolExecutor(_GUESSERS) as pool:
                guessers = [pool.submit(guess) for _ in range(_GUESSERS)]
                attacked.append(per_second(wrk, us, compressed=True))
                stop.set()
                guesses += sum(one.result() for one in guessers)
    return Result(
        f"the same scrapes, while {_GUESSERS} connections guess passwords ÷ while nobody does",
        f"{streams * 2:,} series",
        statistics.median(a / b for a, b in zip(attacked, calm, strict=True)),
        note=f"{guesses} guesses",
    )
