"""The healthcheck against real listeners."""

import http.server
import socket
import ssl
import threading
from contextlib import contextmanager

import pytest
import trustme

from exporter.cli.healthcheck import check, health_url

pytestmark = pytest.mark.sockets


@contextmanager
def answering(status, body, *, context=None):
    """A server that answers every request so; gives its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (":10032", "http://127.0.0.1:10032/-/healthy"),
        ("0.0.0.0:80", "http://127.0.0.1:80/-/healthy"),
        ("[::]:80", "http://[::1]:80/-/healthy"),
        ("10.1.2.3:80", "http://10.1.2.3:80/-/healthy"),
    ],
)
def test_the_address_listened_on_says_where_to_ask(address, url):
    assert health_url(address) == url


def test_a_healthy_exporter_is_fine():
    with answering(200, b"Healthy.\n") as port:
        assert check(health_url(f":{port}")) is None


def test_an_exporter_with_a_certificate_of_its_own_is_fine():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("exporter.example").configure_cert(context)
    with answering(200, b"Healthy.\n", context=context) as port:
        assert check(health_url(f":{port}", tls=True)) is None


def test_a_proxy_in_the_environment_is_not_asked(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with answering(200, b"Healthy.\n") as port:
        assert check(health_url(f":{port}")) is None


def test_an_unhealthy_exporter_says_why():
    with answering(503, b"The poll loop of account a does not move.\n") as port:
        url = health_url(f":{port}")
        assert check(url) == f"{url} answers 503: The poll loop of account a does not move."


@pytest.mark.parametrize("status", [204, 401])
def test_another_answer_is_none(status):
    with answering(status, b"") as port:
        url = health_url(f":{port}")
        assert check(url) == f"{url} answers {status}"


def test_an_exporter_that_is_not_there_is_said_to_be_unreachable():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = health_url(f":{free.getsockname()[1]}")
        assert str(check(url)).startswith(f"{url} cannot be reached: ")


@pytest.mark.timeout(20)
def test_an_exporter_that_hangs_is_not_waited_for():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = health_url(f":{silent.getsockname()[1]}")
        assert check(url, timeout_seconds=0.1) == f"{url} does not answer within 0.1 s"


def test_nonsense_is_refused_in_one_line():
    assert check("127.0.0.1:10032") == (
        "127.0.0.1:10032 cannot be reached: unknown url type: 127.0.0.1"
    )
