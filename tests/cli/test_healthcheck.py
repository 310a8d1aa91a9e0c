"""The healthcheck against real listeners."""

import contextlib
import socket
import ssl
import threading
import time

import pytest
import trustme

from exporter.cli.healthcheck import check, health_url
from tests.cli.listeners import answering

pytestmark = pytest.mark.sockets


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


@pytest.mark.timeout(20)
def test_an_exporter_whose_answer_never_ends_is_not_waited_for():
    """Each piece comes in time, the whole answer does not."""

    def drip(connection):
        with connection, contextlib.suppress(OSError):
            while True:
                connection.sendall(b"H")
                time.sleep(0.02)

    with socket.create_server(("127.0.0.1", 0)) as server:
        url = health_url(f":{server.getsockname()[1]}")
        dripping = threading.Thread(target=lambda: drip(server.accept()[0]))
        dripping.start()
        assert check(url, timeout_seconds=0.2) == f"{url} does not answer within 0.2 s"
    dripping.join()


@pytest.mark.parametrize("said", [b"", b"220 mail.example ESMTP\r\n", b"HTTP/1.1 yes\r\n\r\n"])
def test_what_speaks_another_protocol_is_told_as_that(said):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        url = health_url(f":{server.getsockname()[1]}")
        assert check(url) == f"{url} does not answer in HTTP"
        thread.join()


@pytest.mark.parametrize("url", ["127.0.0.1:10032", "ftp://127.0.0.1/", "http://"])
def test_nonsense_is_refused_in_one_line(url):
    assert check(url) == f"{url} cannot be reached: this is no URL of a web server"
