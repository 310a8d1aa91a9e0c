"""What systemd hears, on a real datagram socket."""

import asyncio
import os
import socket
import time
from typing import Any

import pytest

from exporter.cli import serve
from exporter.cli.systemd import ServiceManager, watchdog_interval

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
