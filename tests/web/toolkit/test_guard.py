"""Passwords, headers and the limit on requests, over real sockets."""

import asyncio
import base64
import logging
import os
import subprocess
import sys
import threading

import bcrypt
import httpx
import pytest

from exporter.credentials import Secret
from exporter.model.errors import ConfigError
from exporter.web import toolkit
from exporter.web.toolkit import logins
from tests.web.toolkit.serving import Site

pytestmark = pytest.mark.sockets

PASSWORD = "correct horse"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
LONG = "x" * 73
LONG_HASH = bcrypt.hashpw(LONG[:72].encode(), bcrypt.gensalt(4)).decode()
USERS = f"basic_auth_users:\n  alice: {HASH}\n  long: {LONG_HASH}\n"
ALICE = ("alice", PASSWORD)


@pytest.fixture
def site(tmp_path):
    """Serves with a web configuration."""
    opened = []

    def site(text):
        (tmp_path / "web.yml").write_text(text)
        opened.append(Site(tmp_path))
        return opened[-1].__enter__()

    yield site
    for one in opened:
        one.__exit__()


@pytest.fixture
def computed(monkeypatch):
    """The hashes that passwords were held against, in the order of computing."""
    computed = []
    original = bcrypt.checkpw

    def checkpw(password, hashed):
        same = original(password, hashed)
        computed.append(hashed.decode())  # not where it refuses to compute
        return same

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    return computed


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def test_a_password_lets_in_and_is_served_without_tls(site):
    one = site(USERS)
    assert one.url.startswith("http://")
    answer = httpx.get(f"{one.url}/metrics", auth=ALICE)
    assert (answer.status_code, answer.text) == (200, "ok")


@pytest.mark.parametrize(
    "auth",
    [None, ("alice", "wrong"), ("alice", ""), ("bob", PASSWORD), ("", ""), ("long", LONG)],
    ids=["none", "wrong", "blank", "unknown user", "nobody", "over 72 bytes"],
)
def test_anything_else_gets_401_and_does_not_reach_the_application(site, auth):
    one = site(USERS)
    answer = httpx.get(f"{one.url}/metrics", auth=auth)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Basic"
    assert one.app.paths == []


def test_72_bytes_are_not_too_long(site):
    assert httpx.get(site(USERS).url, auth=("long", LONG[:72])).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic !!!!",
        "Basic YWxpY2U",
        f"Basic {encoded('alice')}",
        f"Bearer {encoded(f'alice:{PASSWORD}')}",
        f"Basic {encoded(f'alice:{PASSWORD}')} x",
        f"Basic {encoded('alice:' + chr(0))}",
        f"Basic {encoded('älice:' + LONG * 50)}",
        f"Digest username={encoded('alice')}",
    ],
)
def test_a_malformed_header_is_401_and_no_error(site, header):
    answer = httpx.get(site(USERS).url, headers={"Authorization": header})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Basic")


def test_the_scheme_is_read_in_any_case(site):
    headers = {"Authorization": f"bASIC {encoded(f'alice:{PASSWORD}')}"}
    assert httpx.get(site(USERS).url, headers=headers).status_code == 200


def test_a_name_and_a_password_may_hold_any_character(site):
    hashed = bcrypt.hashpw("pä:ß".encode(), bcrypt.gensalt(4)).decode()
    one = site(f"basic_auth_users:\n  žofie: {hashed}\n")
    assert httpx.get(one.url, auth=("žofie", "pä:ß")).status_code == 200


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready"])
def test_health_needs_no_password_and_no_token(site, path):
    one = site(f"{USERS}rate_limit: {{interval: 1h, burst: 1}}\n")
    assert {httpx.get(one.url + path).status_code for _ in range(3)} == {200}


@pytest.mark.parametrize(
    "path", ["/", "/metrics", "/-/reload", "/-/healthy/", "//-/ready", "/-/%20ready"]
)
def test_every_other_path_needs_a_password(site, path):
    assert httpx.post(site(USERS).url + path).status_code == 401


def test_curl_logs_in(site):
    command = ["curl", "-sS", "--fail", "-u", f"alice:{PASSWORD}", f"{site(USERS).url}/metrics"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"ok"


def test_a_login_is_computed_once(site, computed):
    one = site(USERS)
    for _ in range(3):
        assert httpx.get(one.url, auth=ALICE).status_code == 200
    assert computed == [HASH]


def test_a_failure_is_computed_every_time(site, computed):
    one = site(USERS)
    for _ in range(2):
        httpx.get(one.url, auth=("alice", "wrong"))
    assert computed == [HASH, HASH]


def test_an_unknown_user_costs_as_much_as_the_dearest_known_one(site, computed):
    dear = f"basic_auth_users:\n  cheap: {HASH}\n  dear: {HASH.replace('$04$', '$05$')}\n"
    httpx.get(site(dear).url, auth=("bob", PASSWORD))
    assert computed == [f"$2b$05${logins.UNUSED_HASH}"]


def test_a_password_that_is_too_long_costs_as_much_as_any(site, computed):
    httpx.get(site(USERS).url, auth=("long", LONG))
    assert computed == [LONG_HASH]


def test_the_unknown_users_hash_is_one_that_bcrypt_computes():
    hashed = logins.unknown_hash({b"alice": Secret(HASH)}).encode()
    assert bcrypt.hashpw(b"", hashed)[:29] == hashed[:29]


async def test_no_more_logins_wait_than_can_be_computed_soon(monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(bcrypt, "checkpw", lambda *_: release.wait())
    one = logins.Logins()
    users = {b"%d" % number: Secret(HASH) for number in range(logins.MAX_WAITING + 1)}

    async def accept(number):
        return await one.accept(
            users, b"%d" % number, PASSWORD.encode(), client=f"192.0.2.{number}"
        )

    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(accept(number)) for number in range(logins.MAX_WAITING)]
        await asyncio.sleep(0)  # every one has begun
        try:
            with pytest.raises(logins.TooManyLoginsError):
                await accept(logins.MAX_WAITING)
        finally:
            release.set()
    assert all(task.result() for task in waiting)
    one.close()


async def test_one_client_leaves_room_for_others(monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(bcrypt, "checkpw", lambda *_: release.wait())
    one = logins.Logins()
    users = {b"alice": Secret(HASH)}

    async def accept(number, client):
        return await one.accept(users, b"alice", b"%d" % number, client=client)

    async with asyncio.TaskGroup() as group:
        guesses = [
            group.create_task(accept(number, "192.0.2.1"))
            for number in range(logins.MAX_WAITING_OF_A_CLIENT)
        ]
        await asyncio.sleep(0)  # every one has begun
        try:
            with pytest.raises(logins.TooManyLoginsError):
                await accept(99, "192.0.2.1")
            other = group.create_task(accept(100, "192.0.2.2"))
            await asyncio.sleep(0)
        finally:
            release.set()
    assert other.result()
    assert all(guess.result() for guess in guesses)
    assert await accept(101, "192.0.2.1"), "the earlier ones do not count any more"
    one.close()


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own")
async def test_passwords_are_checked_at_a_lower_priority(monkeypatch):
    found = []
    monkeypatch.setattr(bcrypt, "checkpw", lambda *_: found.append(os.nice(0)))
    one = logins.Logins()
    await one.accept({}, b"alice", b"", client="192.0.2.1")
    assert found == [min(19, os.nice(0) + logins.NICENESS)]
    one.close()


async def test_the_remembered_logins_are_few():
    one = logins.Logins()
    users = {b"%d" % number: Secret(HASH) for number in range(logins.MAX_CACHED + 5)}
    for name in users:
        assert await one.accept(users, name, PASSWORD.encode(), client="192.0.2.1")
    assert len(one._successful) == logins.MAX_CACHED
    one.close()


def test_a_new_hash_ends_what_was_remembered(site):
    one = site(USERS)
    assert httpx.get(one.url, auth=ALICE).status_code == 200
    one.write(f"basic_auth_users:\n  alice: {LONG_HASH}\n")
    assert httpx.get(one.url, auth=ALICE).status_code == 401


def test_configured_headers_are_in_every_answer_in_place_of_the_applications(site):
    one = site(
        USERS
        + "http_server_config:\n  headers:\n    X-Frame-Options: deny\n"
        + "    X-Content-Type-Options: nosniff\n    Content-Security-Policy: |\n      a;\n      b\n"
    )
    for auth, path in ((ALICE, "/"), (None, "/"), (None, "/-/healthy")):
        answer = httpx.get(one.url + path, auth=auth)
        assert answer.headers.get_list("x-frame-options") == ["deny"]
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
        assert answer.headers["content-security-policy"] == "a; b"


def test_a_header_of_several_lines_becomes_one(tmp_path):
    file = tmp_path / "web.yml"
    text = "http_server_config:\n  headers:\n    Content-Security-Policy: |\n      a;\n      b\n"
    file.write_text(text)
    assert toolkit.load(file).headers == ((b"Content-Security-Policy", b"a; b"),)


def test_requests_beyond_the_limit_get_429_until_a_token_is_gained(site):
    one = site("rate_limit: {interval: 10s, burst: 2}\n")
    get = lambda: httpx.get(one.url)  # noqa: E731
    assert [get().status_code for _ in range(2)] == [200, 200]
    assert (get().status_code, get().headers["retry-after"]) == (429, "10")
    one.clock.now += 9
    assert get().status_code == 429
    one.clock.now += 2
    assert [get().status_code for _ in range(2)] == [200, 429]
    one.clock.now += 1000
    assert [get().status_code for _ in range(3)] == [200, 200, 429]


def test_a_changed_file_is_read_without_a_restart(site):
    one = site("{}\n")
    assert httpx.get(one.url).status_code == 200
    one.write(USERS)
    assert httpx.get(one.url).status_code == 401
    assert httpx.get(one.url, auth=ALICE).status_code == 200


def test_the_file_is_looked_at_once_a_second_at_most(site):
    one = site("{}\n")
    one.write(USERS)
    one.clock.now -= 0.1
    assert httpx.get(one.url).status_code == 200


def test_a_faulty_new_file_changes_nothing_and_is_told_of_once(site, caplog):
    one = site(USERS)
    with caplog.at_level(logging.WARNING):
        one.write(f"basic_auth_users:\n  alice: {HASH}x\nrate: 1\n")
        for _ in range(3):
            assert httpx.get(one.url, auth=ALICE).status_code == 200
            assert httpx.get(one.url).status_code == 401
            one.clock.now += 1
    (record,) = caplog.records
    message = record.getMessage()
    assert "web.yml:2: basic_auth_users.alice: " in message
    assert "web.yml:3: rate: unknown key" in message
    assert "\n" not in message
    assert HASH[7:] not in message
    one.write("{}\n")
    assert httpx.get(one.url).status_code == 200


@pytest.mark.parametrize("text", ["", "# later\n"])
def test_a_file_that_was_emptied_does_not_let_everybody_in(site, text):
    one = site(USERS)
    one.write(text)
    assert httpx.get(one.url).status_code == 401


def test_a_file_that_is_gone_leaves_what_it_said(site):
    one = site(USERS)
    one.file.unlink()
    one.clock.now += 1
    assert httpx.get(one.url).status_code == 401
    assert httpx.get(one.url, auth=ALICE).status_code == 200


def test_refresh_says_why_nothing_changed(site):
    one = site(USERS)
    assert one.security.refresh() is None
    one.file.write_text("rate: 1\n")
    assert "web.yml:1: rate: unknown key" in one.security.refresh()


def test_nothing_that_is_printed_shows_a_hash(tmp_path):
    file = tmp_path / "web.yml"
    file.write_text(USERS)
    assert HASH[7:] not in repr(toolkit.load(file))
    file.write_text(USERS.replace(HASH, HASH[:-1]))
    with pytest.raises(ConfigError) as caught:
        toolkit.WebSecurity.open(file)
    assert HASH[7:-1] not in str(caught.value)


async def never(*_):
    raise AssertionError


async def test_what_is_not_http_does_not_reach_the_application(tmp_path):
    (tmp_path / "web.yml").write_text(USERS)
    site = Site(tmp_path)
    await site.security.wrap(site.app)({"type": "websocket", "path": "/"}, never, never)
    assert site.app.paths == []
    site.security.close()
    site._listener.close()
