"""What systemd hears, on a real datagram socket, and the sockets that it hands down."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from io import FileIO
from typing import Any

import httpx
import pytest

from exporter.cli import serve
from exporter.cli.systemd import ServiceManager, activated_sockets, watchdog_interval
from exporter.model.errors import ServeError
from exporter.web.listen import shown_address

PROCESS = 4711


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """A service manager's end: the environment it hands down, and what it hears."""
    name = f"{tmp_path}/notify" if request.param == "path" else f"@notify-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name.replace("@", "\0"))
        listener.settimeout(5)
        yield ServiceManager({"NOTIFY_SOCKET": name}), lambda: listener.recv(4096).decode()


@pytest.mark.sockets
@pytest.mark.parametrize(
    ("say", "heard"),
    [
        (lambda supervisor: supervisor.ready(), "READY=1"),
        (lambda supervisor: supervisor.ready("4 accounts"), "READY=1\nSTATUS=4 accounts"),
        (lambda supervisor: supervisor.stopping(), "STOPPING=1"),
        (lambda supervisor: supervisor.alive(), "WATCHDOG=1"),
        (lambda supervisor: supervisor.ready("a\nREADY=1"), "READY=1\nSTATUS=a READY=1"),
    ],
)
def test_the_manager_hears_what_the_protocol_calls_it(manager, say, heard):
    supervisor, hear = manager
    say(supervisor)
    assert hear() == heard


@pytest.mark.sockets
def test_a_reload_carries_the_monotonic_time_at_which_it_began(manager):
    supervisor, hear = manager
    before = time.clock_gettime(time.CLOCK_MONOTONIC)
    supervisor.reloading()
    after = time.clock_gettime(time.CLOCK_MONOTONIC)
    reloading, began = hear().split("\n")
    assert reloading == "RELOADING=1"
    assert began.startswith("MONOTONIC_USEC=")
    assert before - 1e-6 <= int(began.partition("=")[2]) / 1e6 <= after


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}])
def test_without_a_manager_that_can_be_reached_nothing_happens(environment, caplog):
    ServiceManager(environment).ready()
    assert not caplog.records


def test_a_manager_that_has_gone_away_is_a_warning_and_no_more(tmp_path, caplog):
    ServiceManager({"NOTIFY_SOCKET": f"{tmp_path}/gone"}).alive()
    assert caplog.messages == [
        "the service manager does not hear WATCHDOG=1: No such file or directory"
    ]


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(PROCESS)}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_it_asks_and_only_by_whom_it_watches(
    environment, seconds
):
    assert watchdog_interval(environment, PROCESS) == seconds


@contextmanager
def activated(config, *listeners, words=()):
    """The program, started as systemd starts it: the sockets are its descriptors from 3 on."""
    launcher = (
        "import fcntl, os, sys\n"
        "handed, command = sys.argv[1].split(','), sys.argv[2:]\n"
        # Copied high first, or one could be overwritten by another.
        "copies = [fcntl.fcntl(int(one), fcntl.F_DUPFD, 50) for one in handed if one]\n"
        "for place, copy in enumerate(copies, start=3): os.dup2(copy, place)\n"
        "os.environ.update(LISTEN_FDS=str(len(copies)), LISTEN_PID=str(os.getpid()))\n"
        "os.execv(command[0], command)\n"
    )
    descriptors = [listener.fileno() for listener in listeners]
    with subprocess.Popen(
        [
            *(sys.executable, "-c", launcher, ",".join(map(str, descriptors))),
            *(sys.executable, "-m", "exporter", "--web.systemd-socket"),
            *("--config.file", str(config), *words),
        ],
        pass_fds=descriptors,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


@pytest.fixture
def config(tmp_path):
    """A configuration whose vendor is not there."""
    (tmp_path / "credential").write_text("x")
    path = tmp_path / "config.yaml"
    path.write_text(
        "accounts:\n  - {name: a, provider: wowza, url: 'http://127.0.0.1:9',"
        " credentials_file: credential}\n"
    )
    return path


@pytest.mark.sockets
def test_scrapes_that_came_before_the_start_are_answered_on_the_sockets_handed_down(config):
    """On each of them, and on no address of its own."""
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
        socket.socket() as taken,
    ):
        taken.bind(("127.0.0.1", 0))
        elsewhere = f"127.0.0.1:{taken.getsockname()[1]}"
        early = [socket.create_connection(each.getsockname()) for each in (one, two)]
        for connection in early:
            connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        with activated(config, one, two, words=["--web.listen-address", elsewhere]) as process:
            for connection in early:
                connection.settimeout(60)
                with connection, connection.makefile("rb") as answer:
                    page = answer.read()
                assert page.startswith(b"HTTP/1.1 200 OK\r\n")
                assert b"\nprocess_cpu_seconds_total " in page
            process.terminate()
            log = process.stdout.read()
        addresses = " ".join(shown_address(each) for each in (one, two))
        assert f'address="{addresses}"' in log
        assert process.returncode == 0


@pytest.mark.sockets
@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"])
def test_the_process_can_keep_its_own_metrics_to_itself(config, accept):
    """What the exporter says of its polls stays, in either format."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        words = ["--web.disable-exporter-metrics"]
        with activated(config, listener, words=words):
            url = f"http://{shown_address(listener)}/metrics"
            page = httpx.get(url, headers={"accept": accept}, trust_env=False, timeout=60)
    assert page.headers["content-type"].startswith(accept)
    assert "media_exporter_build_info{" in page.text
    assert "process_" not in page.text
    assert "python_" not in page.text


def local():
    """A socket that listens, but at no address that a scraper has."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("")  # the kernel chooses a name
    listener.listen()
    return listener


@pytest.mark.sockets
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (None, "systemd handed over no socket (LISTEN_FDS, LISTEN_PID); expected to be started"),
        (lambda: socket.socket(), "descriptor 3 does not listen on a TCP port; expected Listen"),
        (
            local,
            "descriptor 3 does not listen on a TCP port; expected",
        ),
        (lambda: FileIO(os.devnull), "descriptor 3: Socket operation on non-socket;"),
    ],
)
def test_anything_but_a_listening_socket_is_refused_in_one_line(config, make, said):
    handed = [] if make is None else [make()]
    with activated(config, *handed) as process:
        (line,) = process.stdout.read().splitlines()
    for each in handed:
        each.close()
    assert process.returncode == 1
    assert line.startswith(f"media-usage-exporter: --web.systemd-socket: {said}")


@pytest.mark.parametrize(
    "environment",
    [{}, {"LISTEN_FDS": "1"}, {"LISTEN_FDS": "1", "LISTEN_PID": "1"}, {"LISTEN_FDS": "x"}],
)
def test_sockets_for_another_process_are_not_taken(environment):
    with pytest.raises(ServeError, match="systemd handed over no socket"):
        activated_sockets({"LISTEN_PID": str(PROCESS), **environment}, PROCESS + 1)


async def test_the_watchdog_is_fed_only_while_the_poll_loops_move():
    problems = [None, "stuck", None]
    heard = []

    class Loops:
        def healthy(self):
            return problems.pop()

    class Manager:
        def alive(self):
            heard.append(len(problems))
            if len(heard) == 2:
                raise asyncio.CancelledError

    manager: Any = Manager()
    exporter: Any = Loops()
    with pytest.raises(asyncio.CancelledError):
        await serve.notify_watchdog(manager, exporter, 0)
    assert heard == [2, 0]
