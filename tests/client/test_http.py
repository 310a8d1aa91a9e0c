"""The client, against vendors that behave, misbehave, and lie in wait for the credential."""

import asyncio
import base64
import gzip
import itertools
import logging
import socket
import ssl
import time
import tracemalloc
import zlib
from email.utils import formatdate
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
import respx
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.client.http import BearerAuth, TokenAuth, VendorClient, _query
from exporter.client.shared_requests import SharedRequests
from exporter.credentials import CurrentCredential, FileCredential
from exporter.model import Request
from exporter.model.errors import (
    AuthError,
    ForbiddenError,
    InvalidRequestError,
    NetworkError,
    NotFoundError,
    PollError,
    PollTimeoutError,
    RateLimitedError,
    RedirectError,
    SchemaError,
    ServerError,
    TooLargeError,
)
from tests.support.virtual_time import loop_time, run

SECRET = "s3cr3t-value"
NOW = 1_800_000_000
CADENCE = 900.0
MEBIBYTE = 2**20
GZIP = {"content-encoding": "gzip"}
USAGE = Request("/v1/usage", (("from", "2026-01-01 00:00"), ("id[]", "a&b")))


def in_turn(*answers):
    """Each once, the last one for ever."""
    return itertools.chain(answers, itertools.repeat(answers[-1]))


class Vendor(respx.Router):
    """Gives these answers in turn, the last one for ever; without any, it has no route yet.

    An answer is whatever a route may do: a response, a function of the request, or an exception.
    """

    def __init__(self, *answers):
        super().__init__()
        if answers:
            self.route().side_effect = in_turn(*answers)

    @property
    def requests(self):
        return [call.request for call in self.calls]

    @property
    def authorizations(self):
        return [request.headers.get("authorization") for request in self.requests]

    @property
    def hosts(self):
        return [request.url.host for request in self.requests]


class Stream(httpx.AsyncByteStream):
    """A body in pieces; `pause` seconds before each."""

    def __init__(self, pieces, pause=0.0):
        self.pieces = pieces
        self.pause = pause
        self.sent = 0
        self.closed = False

    async def __aiter__(self):
        for piece in self.pieces:
            if self.pause:
                await asyncio.sleep(self.pause)
            self.sent += 1
            yield piece

    async def aclose(self):
        self.closed = True


def ok(content=b"{}"):
    return httpx.Response(200, content=content)


def status(code, headers=None, content=b""):
    return httpx.Response(code, headers=headers, content=content)


def streamed(*pieces, pause=0.0, code=200, headers=None):
    """An answer whose body comes in these pieces."""
    return httpx.Response(code, headers=headers, stream=Stream(pieces, pause))


class SomeProvider:
    """A provider as far as the client cares for one."""

    name = "some"

    def __init__(self, reasons=None, retries=None):
        self.headers = {"X-Version": "2"}
        self.reasons = reasons or {}
        self.special = retries or {}
        self.classified = []

    def classify(self, status, body):
        self.classified.append((status, body))
        return self.reasons.get(status)

    def retries(self, status):
        return self.special.get(status)


class Observed(list):
    def request(self, feed, code, seconds):
        assert seconds >= 0
        self.append((feed, code))

    @property
    def codes(self):
        return [code for _, code in self]


@pytest.fixture
def credential(tmp_path):
    path = tmp_path / "credential"
    path.write_text(SECRET)
    return path


@pytest.fixture
def observed():
    return Observed()


@pytest.fixture
def client(credential, observed):
    """Makes a client of a vendor; `slept` on it are its waits, which move the virtual clock."""

    def make(vendor: respx.Router | None, **settings: Any) -> Any:
        slept: list[float] = []

        async def sleep(seconds):
            slept.append(seconds)
            await asyncio.sleep(seconds)

        made: Any = VendorClient(
            **{
                "account": "studio",
                "provider": SomeProvider(),
                "url": "https://api.vendor.test/base/",
                "auth": BearerAuth(CurrentCredential(FileCredential(credential))),
                "timeout_seconds": 30.0,
                "concurrency": 8,
                "cadence_seconds": CADENCE,
                "observe": observed,
                "transport": vendor and httpx.MockTransport(vendor.async_handler),
                "sleep": sleep,
                "random": lambda: 1.0,
                "now": lambda: float(NOW),
                **settings,
            }
        )
        made.slept = slept
        return made

    return make


@pytest.fixture
def far_from_greenwich():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


def get(client, deadline=None):
    return run(client.get(USAGE, feed="usage", deadline=deadline))


# --- Asking ---------------------------------------------------------------------------------------


def test_a_request_carries_the_credential_and_asks_for_gzipped_json(client, observed):
    vendor = Vendor(ok(b'{"a":1}'))
    assert get(client(vendor)) == b'{"a":1}'
    (request,) = vendor.requests
    assert str(request.url) == (
        "https://api.vendor.test/base/v1/usage?from=2026-01-01%2000%3A00&id%5B%5D=a%26b"
    )
    assert request.headers["authorization"] == f"Bearer {SECRET}"
    assert request.headers["accept"] == "application/json"
    assert request.headers["accept-encoding"] == "gzip"
    assert request.headers["user-agent"].startswith("media-usage-exporter/")
    assert request.headers["x-version"] == "2"
    assert "cookie" not in request.headers
    assert observed == [("usage", "200")]


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(), st.text())))
def test_a_query_is_encoded_as_by_the_standard_library(params):
    assert _query(params) == urlencode(params, quote_via=quote)


def test_a_path_cannot_change_the_host(client):
    vendor = Vendor(ok())
    with pytest.raises(ValueError, match="begins with a slash"):
        run(client(vendor).get(Request(".evil.test/"), feed="usage", deadline=None))
    run(client(vendor).get(Request("//evil.test/x"), feed="usage", deadline=None))
    assert vendor.hosts == ["api.vendor.test"]


def test_a_rotated_credential_is_sent_from_the_next_request_on(client, credential):
    vendor = Vendor(ok())
    account = client(vendor)
    get(account)
    credential.write_text("rotated-value")
    get(account)
    assert vendor.authorizations == [f"Bearer {SECRET}", "Bearer rotated-value"]


def test_no_other_credential_takes_the_place_of_the_accounts_own(client, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine api.vendor.test login other password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    vendor = Vendor(ok())
    get(client(vendor, url="https://user:password@api.vendor.test"))
    assert vendor.authorizations == [f"Bearer {SECRET}"]


def test_cookies_are_not_kept(client):
    vendor = Vendor(status(200, {"set-cookie": "session=1; Path=/"}))
    account = client(vendor)
    get(account)
    get(account)
    assert all("cookie" not in request.headers for request in vendor.requests)


def test_no_more_requests_are_in_flight_than_the_account_may_have(client):
    flying = most = 0

    async def answer(request):
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        await asyncio.sleep(1)
        flying -= 1
        return httpx.Response(200)

    async def poll():
        account = client(Vendor(answer), concurrency=3)
        await asyncio.gather(*(account.get(USAGE, feed="f", deadline=None) for _ in range(10)))

    run(poll())
    assert most == 3


# --- Refusals and retries -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (400, InvalidRequestError),
        (401, AuthError),
        (402, ForbiddenError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (405, InvalidRequestError),
        (410, NotFoundError),
        (422, InvalidRequestError),
        (500, ServerError),
        (501, ServerError),
        (599, ServerError),
    ],
)
def test_a_refusal_is_named_by_its_status_and_not_asked_again(client, observed, code, error):
    vendor = Vendor(status(code, content=b'{"secret":"in the body"}'))
    with pytest.raises(error) as caught:
        get(client(vendor))
    assert type(caught.value) is error
    assert str(caught.value).startswith(f"api.vendor.test/base/v1/usage: answered {code}")
    assert "body" not in str(caught.value)
    assert observed == [("usage", str(code))]
    assert len(vendor.requests) == 1


def test_a_provider_can_tell_a_misleading_status_by_its_body(client):
    provider = SomeProvider(reasons={403: "auth"})
    with pytest.raises(AuthError):
        get(client(Vendor(status(403, content=b"Unauthorized")), provider=provider))
    assert provider.classified == [(403, b"Unauthorized")]


def test_a_provider_is_shown_no_more_than_the_beginning_of_an_errors_body(client):
    provider = SomeProvider()
    body = Stream([b"x" * 1000] * 10_000)
    vendor = Vendor(httpx.Response(404, stream=body))
    with pytest.raises(NotFoundError):
        get(client(vendor, provider=provider))
    assert provider.classified == [(404, b"x" * 65536)]
    assert body.sent < 100
    assert body.closed


def test_a_broken_error_body_does_not_hide_the_error(client):
    answer = streamed(b"no gzip", code=404, headers=GZIP)
    with pytest.raises(NotFoundError):
        get(client(Vendor(answer)))


@pytest.mark.parametrize(
    ("failure", "error", "code"),
    [
        (status(429), RateLimitedError, "429"),
        (status(502), ServerError, "502"),
        (status(503), ServerError, "503"),
        (status(504), ServerError, "504"),
        (httpx.ReadTimeout("slow"), PollTimeoutError, "timeout"),
        (httpx.ConnectError("gone"), NetworkError, "network"),
        (httpx.RemoteProtocolError("cut"), NetworkError, "network"),
    ],
)
def test_what_may_pass_is_tried_four_times_with_growing_waits(
    client, observed, failure, error, code
):
    recovering = client(Vendor(failure, failure, failure, ok(b"[]")))
    assert get(recovering) == b"[]"
    assert recovering.slept == [2.0, 4.0, 8.0]
    assert observed.codes == [code] * 3 + ["200"]
    broken = Vendor(failure)
    with pytest.raises(error, match=r"\(attempt 4\)$"):
        get(client(broken))
    assert len(broken.requests) == 4


def test_waits_are_jittered_down_to_nothing_and_short_where_polls_are_frequent(client):
    chances = iter([0.0, 0.5, 1.0])
    account = client(Vendor(status(503)), random=lambda: next(chances), cadence_seconds=3.0)
    with pytest.raises(ServerError):
        get(account)
    assert account.slept == pytest.approx([0.0, 0.1, 0.4])


def test_a_provider_can_have_a_500_retried_once(client):
    provider = SomeProvider(retries={500: 1})
    assert get(client(Vendor(status(500), ok(b"1")), provider=provider)) == b"1"
    vendor = Vendor(status(500))
    with pytest.raises(ServerError):
        get(client(vendor, provider=provider))
    assert len(vendor.requests) == 2


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("1.5", 1.5),
        (formatdate(NOW + 30, usegmt=True), 30.0),
        ("Friday, 15-Jan-27 08:01:00 GMT", 60.0),
        ("Fri Jan 15 08:01:00 2027", 60.0),
        (formatdate(NOW - 30, usegmt=True), 0.0),
        ("999999999", CADENCE),
        ("9" * 5000, CADENCE),
        (formatdate(NOW + 10**8, usegmt=True), CADENCE),
        ("soon", 0.0),
        ("-5", 0.0),
        ("Fri, 32 Jan 2027 99:00:00 GMT", 0.0),
    ],
)
@pytest.mark.parametrize("code", [429, 503])
@pytest.mark.usefixtures("far_from_greenwich")
def test_retry_after_is_obeyed_in_every_form_up_to_the_cadence(client, code, header, wait):
    account = client(Vendor(status(code, {"retry-after": header}), ok(b"1")), random=lambda: 0.0)
    assert get(account) == b"1"
    assert account.slept == [wait]


def test_a_wait_that_goes_past_the_deadline_is_given_up_at_once(client):
    vendor = Vendor(status(429, {"retry-after": "60"}))
    account = client(vendor)
    with pytest.raises(RateLimitedError):
        get(account, deadline=60.0)
    assert account.slept == []
    assert len(vendor.requests) == 1


def test_nothing_is_asked_past_the_deadline(client, observed):
    async def poll():
        await asyncio.sleep(5)
        await client(vendor).get(USAGE, feed="usage", deadline=5.0)

    vendor = Vendor(ok())
    with pytest.raises(PollTimeoutError):
        run(poll())
    assert vendor.requests == []
    assert observed == []


def test_a_cancelled_request_is_counted_and_frees_its_place(client, observed):
    async def never(request):
        await asyncio.Event().wait()

    async def poll():
        account = client(Vendor(never, ok(b"1")), concurrency=1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await account.get(USAGE, feed="usage", deadline=None)
        return await account.get(USAGE, feed="usage", deadline=None)

    assert run(poll()) == b"1"
    assert observed.codes == ["cancelled", "200"]


# --- So many a second -----------------------------------------------------------------------------


class Starts(Vendor):
    """Remembers when it was asked; an answer takes `seconds`."""

    def __init__(self, code=200, seconds=0.0):
        super().__init__(self.answer)
        self.code = code
        self.seconds = seconds
        self.at = []

    async def answer(self, request):
        self.at.append(loop_time())
        await asyncio.sleep(self.seconds)
        return status(self.code)


async def ask(account, number, deadline=None):
    """The outcomes of so many requests at the same time."""
    requests = (account.get(USAGE, feed="f", deadline=deadline) for _ in range(number))
    return await asyncio.gather(*requests, return_exceptions=True)


def test_no_account_makes_more_requests_a_second_than_it_may(client):
    vendor = Starts()
    run(ask(client(vendor, requests_per_second=2.0), 5))
    assert vendor.at == [0.0, 0.5, 1.0, 1.5, 2.0]


def test_without_a_limit_nothing_waits_for_its_turn(client):
    vendor = Starts()
    run(ask(client(vendor), 5))
    assert vendor.at == [0.0] * 5


def test_retries_wait_for_their_turn_like_any_request(client):
    vendor = Starts(503)
    with pytest.raises(ServerError):
        get(client(vendor, requests_per_second=0.1))
    assert vendor.at == [0.0, 10.0, 20.0, 30.0]


def test_requests_for_tokens_count(client, app):
    vendor = TokenVendor()
    account = client(vendor, auth=app, requests_per_second=1.0)

    async def poll():
        await account.get(USAGE, feed="f", deadline=None)
        return loop_time()

    assert run(poll()) == 1.0
    assert vendor.hosts == ["auth.vendor.test", "api.vendor.test"]


def test_a_request_without_a_turn_before_the_deadline_fails_at_once(client, observed):
    vendor = Starts()
    account = client(vendor, requests_per_second=0.5)

    async def poll():
        outcomes = await ask(account, 5, deadline=6.0)
        return outcomes, loop_time()

    outcomes, ended = run(poll())
    assert vendor.at == [0.0, 2.0, 4.0]
    assert ended == 4.0
    refusals = [outcome for outcome in outcomes if isinstance(outcome, PollTimeoutError)]
    assert [str(refusal) for refusal in refusals] == [
        "api.vendor.test/base/v1/usage: 0.5 requests a second leave no turn before the deadline"
    ] * 2
    assert account.slept == [2.0, 2.0]
    assert observed.codes == ["200"] * 3


def test_waiting_for_a_turn_is_not_part_of_a_requests_time(client):
    vendor = Starts(seconds=29.0)
    outcomes = run(ask(client(vendor, requests_per_second=0.01, timeout_seconds=30.0), 3))
    assert outcomes == [b""] * 3


def test_who_waits_for_a_turn_takes_no_place_from_a_request(client):
    account = client(Starts(), requests_per_second=0.1, concurrency=1)

    async def poll():
        await account.get(USAGE, feed="f", deadline=None)
        waiting = asyncio.create_task(account.get(USAGE, feed="f", deadline=None))
        await asyncio.sleep(5)
        assert not account._slots.locked()
        await waiting
        return loop_time()

    assert run(poll()) == 10.0


def test_requests_that_waited_for_a_place_do_not_start_all_at_once(client):
    """StreamPoll that came while every place was taken are not made up for."""
    vendor = Starts(seconds=10.0)
    account = client(vendor, requests_per_second=1.0, concurrency=2)

    async def poll():
        slow = asyncio.create_task(ask(account, 2))
        await asyncio.sleep(5)
        vendor.seconds = 0.0
        await ask(account, 4)
        await slow

    run(poll())
    assert vendor.at == [0.0, 1.0, 10.0, 11.0, 12.0, 13.0]


def test_a_cancelled_wait_for_a_turn_holds_nobody_up(client):
    vendor = Starts()
    account = client(vendor, requests_per_second=0.1)

    async def poll():
        await account.get(USAGE, feed="f", deadline=None)
        waiting = [
            asyncio.create_task(account.get(USAGE, feed="f", deadline=None)) for _ in range(4)
        ]
        await asyncio.sleep(1)
        for task in waiting[:3]:
            task.cancel()
        await waiting[3]

    run(poll())
    assert vendor.at == [0.0, 10.0]


# --- Redirects ------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [301, 302, 303, 304, 307, 308])
@pytest.mark.parametrize(
    "location", ["https://evil.test/", "/elsewhere", "https://evil.test:port/", None]
)
def test_a_redirect_is_an_error_and_the_credential_goes_nowhere_else(
    client, observed, code, location
):
    vendor = Vendor(status(code, {"location": location} if location else None))
    with pytest.raises(RedirectError) as caught:
        get(client(vendor))
    assert vendor.hosts == ["api.vendor.test"]
    assert "evil" not in str(caught.value)
    assert observed.codes == [str(code)]


# --- Bounds ---------------------------------------------------------------------------------------


def test_an_answer_that_drips_is_cut_off_after_the_time_for_one_request(client, observed):
    body = Stream(itertools.repeat(b" "), pause=1.0)
    vendor = Vendor(httpx.Response(200, stream=body))

    async def poll():
        with pytest.raises(PollTimeoutError, match="no whole answer within 30 s"):
            await client(vendor).get(USAGE, feed="usage", deadline=31.0)
        return loop_time()

    assert run(poll()) == pytest.approx(30.0, abs=0.1)
    assert observed.codes == ["timeout"]
    assert body.closed


def test_an_attempt_ends_at_the_deadline_if_that_comes_first(client):
    body = Stream(itertools.repeat(b" "), pause=1.0)
    vendor = Vendor(httpx.Response(200, stream=body))

    async def poll():
        with pytest.raises(PollTimeoutError):
            await client(vendor).get(USAGE, feed="usage", deadline=12.0)
        return loop_time()

    assert run(poll()) == pytest.approx(12.0, abs=0.1)


def gzipped_zeros(mebibytes):
    pack = zlib.compressobj(9, wbits=31)
    return b"".join([*(pack.compress(bytes(MEBIBYTE)) for _ in range(mebibytes)), pack.flush()])


def test_a_gzip_bomb_is_refused_before_it_takes_more_memory_than_an_answer_may(client, observed):
    vendor = Vendor(streamed(gzipped_zeros(300), headers=GZIP))
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError, match="larger than 64 MiB"):
            get(client(vendor))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 70 * MEBIBYTE
    assert len(vendor.requests) == 1
    assert observed.codes == ["too_large"]


def test_an_answer_that_announces_too_much_is_not_read(client):
    body = Stream([b"x"])
    headers = {"content-length": str(64 * MEBIBYTE + 1)}
    with pytest.raises(TooLargeError):
        get(client(Vendor(httpx.Response(200, headers=headers, stream=body))))
    assert body.sent == 0
    assert body.closed


EMPTY_BLOCKS = b"\x00\x00\x00\xff\xff" * (MEBIBYTE // 5)
GZIP_HEADER = gzip.compress(b"", mtime=0)[:10]


@pytest.mark.parametrize(
    ("headers", "start", "piece"),
    [
        ({}, b"", bytes(MEBIBYTE)),
        # Blocks that inflate to nothing, however many come.
        (GZIP, GZIP_HEADER, EMPTY_BLOCKS),
    ],
)
def test_an_answer_that_announces_nothing_is_cut_off_at_64_mebibytes(client, headers, start, piece):
    body = Stream(itertools.chain([start], itertools.repeat(piece)))
    with pytest.raises(TooLargeError):
        get(client(Vendor(httpx.Response(200, headers=headers, stream=body))))
    assert body.sent == pytest.approx(66, abs=1)


def test_gzip_in_endless_empty_parts_is_refused(client):
    body = Stream(itertools.repeat(gzip.compress(b"") * 1000))
    with pytest.raises(SchemaError, match="parts"):
        get(client(Vendor(httpx.Response(200, headers=GZIP, stream=body))))
    assert body.sent == 3


def test_an_answer_of_64_mebibytes_is_whole(client):
    assert len(get(client(Vendor(ok(bytes(64 * MEBIBYTE)))))) == 64 * MEBIBYTE


@pytest.mark.parametrize("size", [1, 7, 10**6])
def test_gzip_is_inflated_however_it_is_cut_into_pieces(client, size):
    text = b"".join(b"%d," % number for number in range(5000)) + bytes(600_000)
    packed = gzip.compress(text[:1000]) + gzip.compress(text[1000:]) + bytes(8)
    pieces = [packed[at : at + size] for at in range(0, len(packed), size)]
    answer = streamed(*pieces, headers={"content-encoding": "GZip"})
    assert get(client(Vendor(answer))) == text


@pytest.mark.parametrize("packed", [gzip.compress(b"x" * 1000, mtime=0)[:-9], b"<html>"])
def test_damaged_gzip_is_a_broken_connection_and_asked_for_again(client, packed):
    damaged = streamed(packed, headers=GZIP)
    whole = streamed(gzip.compress(b"whole"), headers=GZIP)
    assert get(client(Vendor(damaged, whole))) == b"whole"
    with pytest.raises(NetworkError):
        get(client(Vendor(damaged)))


def test_an_encoding_that_was_not_asked_for_is_refused(client):
    answer = streamed(b"x", headers={"content-encoding": "br"})
    with pytest.raises(SchemaError, match="encoding"):
        get(client(Vendor(answer)))


# --- Tokens ---------------------------------------------------------------------------------------


class TokenVendor(Vendor):
    """A token service and, on another host, an API that takes only the newest token."""

    def __init__(self, expires_in=1800, slow=0.0):
        super().__init__()
        self.token = self.post(
            "https://auth.vendor.test/v1/auth/token",
            data={"grant_type": "client_credentials"},
            headers={"content-type": "application/x-www-form-urlencoded"},
        ).mock(side_effect=self.issue)
        self.api = self.get(host="api.vendor.test").mock(side_effect=self.answer)
        self.expires_in = expires_in
        self.slow = slow
        self.issued = []
        self.expires_at = []

    async def issue(self, request):
        await asyncio.sleep(self.slow)
        scheme, _, basic = request.headers["authorization"].partition(" ")
        assert scheme == "Basic"
        self.issued.append(base64.b64decode(basic).decode())
        self.expires_at.append(loop_time() + self.expires_in)
        answer = {"access_token": f"token-{len(self.issued)}", "expires_in": self.expires_in}
        return httpx.Response(200, json=answer)

    async def answer(self, request):
        await asyncio.sleep(self.slow * (100 if request.url.path.endswith("/slow") else 1))
        newest = request.headers["authorization"] == f"Bearer token-{len(self.issued)}"
        return status(200 if newest and loop_time() < self.expires_at[-1] else 401)


@pytest.fixture
def app(tmp_path):
    for name in ("key", "secret"):
        (tmp_path / name).write_text(f"app-{name}")
    return TokenAuth(
        key=CurrentCredential(FileCredential(tmp_path / "key")),
        secret=CurrentCredential(FileCredential(tmp_path / "secret")),
        url="https://auth.vendor.test/v1/auth/token",
    )


def test_concurrent_requests_fetch_one_token_between_them(client, app):
    vendor = TokenVendor(slow=1.0)
    account = client(vendor, auth=app, concurrency=1)

    async def poll():
        await asyncio.gather(*(account.get(USAGE, feed="f", deadline=None) for _ in range(20)))

    run(poll())
    assert vendor.issued == ["app-key:app-secret"]
    assert vendor.hosts == ["auth.vendor.test"] + ["api.vendor.test"] * 20


def test_a_token_is_renewed_before_it_expires(client, app, observed):
    vendor = TokenVendor(expires_in=1800)
    account = client(vendor, auth=app)

    async def poll():
        for _ in range(181):
            await account.get(USAGE, feed="f", deadline=None)
            await asyncio.sleep(60)

    run(poll())
    assert set(observed.codes) == {"200"}
    assert len(vendor.issued) == 8  # three hours, a token each 24 minutes


def test_a_token_that_was_revoked_is_renewed_and_the_request_made_again(client, app, observed):
    vendor = TokenVendor(slow=1.0)
    account = client(vendor, auth=app)

    async def poll():
        await account.get(USAGE, feed="f", deadline=None)
        vendor.expires_at[-1] = 0.0
        await asyncio.gather(*(account.get(USAGE, feed="f", deadline=None) for _ in range(5)))

    run(poll())
    assert len(vendor.issued) == 2
    assert observed.codes.count("401") == 5


def test_a_late_refusal_of_the_old_token_does_not_cost_the_new_one(client, app):
    vendor = TokenVendor(slow=1.0)
    account = client(vendor, auth=app, timeout_seconds=300.0)
    slow = Request("/slow")

    async def poll():
        await account.get(USAGE, feed="f", deadline=None)
        late = asyncio.create_task(account.get(slow, feed="f", deadline=None))
        await asyncio.sleep(1)
        vendor.expires_at[-1] = 0.0
        await account.get(USAGE, feed="f", deadline=None)
        await late

    run(poll())
    assert len(vendor.issued) == 2


def test_a_fresh_token_that_is_refused_as_well_is_an_error(client, app):
    vendor = TokenVendor()
    vendor.api.mock(status(401))
    with pytest.raises(AuthError, match=r"api\.vendor\.test"):
        get(client(vendor, auth=app))
    assert len(vendor.issued) == 2


def test_a_rotated_app_secret_leads_to_a_new_token(client, app, tmp_path):
    vendor = TokenVendor()
    account = client(vendor, auth=app)

    async def poll():
        await account.get(USAGE, feed="f", deadline=None)
        (tmp_path / "secret").write_text("rotated")
        await account.get(USAGE, feed="f", deadline=None)

    run(poll())
    assert vendor.issued == ["app-key:app-secret", "app-key:rotated"]


@pytest.mark.parametrize("code", [400, 401, 403])
def test_a_token_service_that_refuses_the_app_is_an_auth_failure(client, app, code):
    vendor = TokenVendor()
    vendor.token.mock(status(code))
    with pytest.raises(AuthError, match=rf"auth\.vendor\.test/v1/auth/token: answered {code}"):
        get(client(vendor, auth=app))
    assert vendor.hosts == ["auth.vendor.test"]


@pytest.mark.parametrize("unreadable", [False, True])
def test_feeds_that_share_a_poll_ask_a_token_service_that_refuses_the_app_once(
    client, app, tmp_path, unreadable
):
    """As often as with a credential that cannot even be read: no more than once."""

    async def refuse(request):
        await asyncio.sleep(1)
        return status(401)

    vendor = TokenVendor()
    vendor.token.side_effect = refuse
    if unreadable:
        (tmp_path / "secret").unlink()
    account = client(vendor, auth=app)

    async def poll():
        shared = SharedRequests(
            lambda request, feed: account.get(request, feed=feed, deadline=None)
        )
        windows = (shared.get(Request(f"/{n}"), f"feed {n % 3}") for n in range(24))
        return await asyncio.gather(*windows, return_exceptions=True)

    assert [type(outcome) for outcome in run(poll())] == [AuthError] * 24
    assert vendor.hosts == ([] if unreadable else ["auth.vendor.test"])


def test_a_token_service_that_is_down_for_a_moment_is_asked_again(client, app):
    vendor = TokenVendor()
    vendor.token.side_effect = in_turn(status(503), vendor.issue)
    assert get(client(vendor, auth=app)) == b""
    assert vendor.hosts.count("auth.vendor.test") == 2


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"{}", b'{"access_token":""}', b'{"access_token":"a\\nb"}', b"[" * 100_000],
)
def test_a_token_service_that_gives_no_token_is_a_schema_failure(client, app, body):
    vendor = TokenVendor()
    vendor.token.mock(ok(body))
    with pytest.raises(SchemaError):
        get(client(vendor, auth=app))


def test_a_poll_cancelled_while_it_fetches_the_token_does_not_spoil_it_for_another(client, app):
    vendor = TokenVendor(slow=10.0)
    account = client(vendor, auth=app)

    async def poll():
        first = asyncio.create_task(account.get(USAGE, feed="first", deadline=None))
        await asyncio.sleep(1)
        second = asyncio.create_task(account.get(USAGE, feed="second", deadline=None))
        await asyncio.sleep(1)
        first.cancel()
        return await second

    assert run(poll()) == b""
    assert len(vendor.issued) == 1


# --- Secrets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        ok(),
        status(401, content=f"no token {SECRET} found".encode()),
        status(500, content=SECRET.encode()),
        status(302, {"location": f"https://evil.test/?token={SECRET}"}),
        httpx.ConnectError(f"could not send {SECRET}"),
    ],
)
def test_the_credential_is_in_no_log_no_error_and_no_repr(client, caplog, answer):
    caplog.set_level(logging.DEBUG)
    account = client(Vendor(answer))
    request = Request("/v1/usage", (("token", "query-value"),))
    try:
        run(account.get(request, feed="usage", deadline=None))
    except PollError as error:
        said = [str(error), repr(error), repr(vars(error))]
    else:
        said = []
    said += [repr(account), caplog.text, *(str(record.args) for record in caplog.records)]
    assert SECRET not in "".join(said)
    assert "query-value" not in "".join(said)
    assert "studio" in repr(account)


def test_a_credential_that_was_never_readable_is_an_auth_failure(client, credential):
    credential.unlink()
    vendor = Vendor(ok())
    with pytest.raises(AuthError, match="cannot be read"):
        get(client(vendor))
    assert vendor.requests == []


# --- The real network -----------------------------------------------------------------------------


@pytest.mark.sockets
async def test_a_certificate_nobody_vouches_for_is_said_to_be_one_and_not_retried(client, observed):
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    async def hang_up(reader, writer):
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    account = client(None, url=f"https://127.0.0.1:{port}")
    with pytest.raises(NetworkError, match="certificate does not verify: its authority"):
        await account.get(USAGE, feed="usage", deadline=None)
    assert observed.codes == ["network"]
    await account.aclose()
    server.close()
    await server.wait_closed()


@pytest.mark.sockets
async def test_a_refused_connection_is_said_to_be_one(client, unused_tcp_port):
    account = client(None, url=f"http://127.0.0.1:{unused_tcp_port}", cadence_seconds=0.01)
    with pytest.raises(NetworkError, match="the connection was refused"):
        await account.get(USAGE, feed="usage", deadline=None)
    await account.aclose()


async def test_a_host_name_that_does_not_resolve_is_said_not_to(client, monkeypatch):
    async def unresolved(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "getaddrinfo", unresolved)
    account = client(None, url="http://nowhere.invalid", cadence_seconds=0.01)
    with pytest.raises(NetworkError, match="the host name does not resolve"):
        await account.get(USAGE, feed="usage", deadline=None)
    await account.aclose()
