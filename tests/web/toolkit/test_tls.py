"""TLS over real sockets: versions, client certificates, changes without a restart."""

import asyncio
import json
import logging
import socket
import ssl
import subprocess
import sys
import time

import bcrypt
import httpx
import pytest
import trustme
import uvloop

from exporter.web import toolkit
from exporter.web.toolkit import tls
from tests.support import components
from tests.web.toolkit.serving import Site

pytestmark = pytest.mark.sockets

SERVED = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n"
VERIFIED = (
    f"{SERVED}  client_ca_file: clients.pem\n  client_auth_type: RequireAndVerifyClientCert\n"
)
LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture(scope="module")
def ca():
    return trustme.CA()


@pytest.fixture(scope="module")
def clients():
    """Signs certificates of clients."""
    return trustme.CA()


@pytest.fixture
def folder(tmp_path, ca, clients):
    put_certificate(tmp_path, ca)
    clients.cert_pem.write_to_path(tmp_path / "clients.pem")
    return tmp_path


@pytest.fixture
def site(folder):
    opened = []

    def site(text, loop="uvloop"):
        (folder / "web.yml").write_text(text)
        opened.append(Site(folder, new_loop=LOOPS[loop]))
        return opened[-1].__enter__()

    yield site
    for one in opened:
        one.__exit__()


@pytest.fixture
def get(ca):
    """Asks a site for a page, on a new connection."""

    def get(one, *, client=None, version=None, authority=ca):
        context = trusting(authority, client)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return httpx.get(f"{one.url}/metrics", verify=context)

    return get


def put_certificate(folder, ca):
    leaf = ca.issue_cert("127.0.0.1", "localhost")
    leaf.private_key_pem.write_to_path(folder / "key.pem")
    leaf.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    return leaf


def trusting(ca, client=None):
    context = ssl.create_default_context()
    ca.configure_trust(context)
    if client is not None:
        client.configure_cert(context)
    return context


def shown_certificate(one):
    """The certificate that the site shows to a new connection."""
    return ssl.get_server_certificate(("127.0.0.1", one.port))


def turned_away(get, one, **options):
    # With TLS 1.3 a client may not know before it has sent its request.
    with pytest.raises(httpx.TransportError):
        get(one, **options)
    return one.app.paths == []


@pytest.mark.parametrize("loop", LOOPS)
def test_tls_is_served(site, get, loop):
    one = site(SERVED, loop)
    assert one.url.startswith("https://")
    assert get(one).text == "ok"


def test_plain_http_gets_no_answer_where_tls_is_served(site):
    one = site(SERVED)
    with pytest.raises(httpx.TransportError):
        httpx.get(one.url.replace("https", "http"))


def test_inline_certificates_are_served(site, get, folder, clients):
    inline = {
        "cert": (folder / "cert.pem").read_text(),
        "key": (folder / "key.pem").read_text(),
        "client_ca": (folder / "clients.pem").read_text(),
        "client_auth_type": "RequireAndVerifyClientCert",
    }
    one = site(json.dumps({"tls_server_config": inline}))
    assert get(one, client=clients.issue_cert("a.example")).text == "ok"


def test_curl_agrees(site, folder, ca):
    ca.cert_pem.write_to_path(folder / "ca.pem")
    command = ["curl", "-sS", "--http2", "-w", " %{http_version}", "--cacert", folder / "ca.pem"]
    done = subprocess.run([*command, site(SERVED).url], capture_output=True, check=True)
    assert done.stdout == b"ok 1.1"


def test_who_offers_http2_learns_that_this_is_http1(site, ca):
    context = trusting(ca)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", site(SERVED).port)) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        assert connection.selected_alpn_protocol() == "http/1.1"


@pytest.mark.parametrize(
    ("setting", "good", "bad"),
    [
        ("min_version: TLS13", ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2),
        ("max_version: TLS12", ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3),
    ],
)
def test_a_version_that_is_not_served_is_turned_away(site, get, setting, good, bad):
    one = site(f"{SERVED}  {setting}\n")
    assert turned_away(get, one, version=bad)
    assert get(one, version=good).text == "ok"


def test_only_the_named_suites_are_served(site, ca):
    one = site(
        f"{SERVED}  max_version: TLS12\n"
        "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]\n"
    )
    for suite, works in (("ECDHE-ECDSA-AES256-GCM-SHA384", True), ("ECDHE+AES128", False)):
        context = trusting(ca)
        context.set_ciphers(suite)
        if works:
            assert httpx.get(one.url, verify=context).text == "ok"
        else:
            with pytest.raises(httpx.ConnectError):
                httpx.get(one.url, verify=context)


@pytest.mark.parametrize(("prefer", "chosen"), [("true", "256"), ("false", "128")])
def test_the_order_of_suites_is_the_servers_if_it_is_preferred(site, ca, prefer, chosen):
    suites = [f"TLS_ECDHE_ECDSA_WITH_AES_{bits}" for bits in ("256_GCM_SHA384", "128_GCM_SHA256")]
    one = site(
        f"{SERVED}  max_version: TLS12\n  prefer_server_cipher_suites: {prefer}\n"
        f"  cipher_suites: [{', '.join(suites)}]\n"
    )
    context = trusting(ca)
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384")
    with (
        socket.create_connection(("127.0.0.1", one.port)) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        assert f"AES{chosen}" in connection.cipher()[0]


def test_only_the_named_curve_is_served(site, ca):
    one = site(f"{SERVED}  curve_preferences: [CurveP384]\n")
    for curve, works in (("secp384r1", True), ("prime256v1", False)):
        context = trusting(ca)
        context.set_ecdh_curve(curve)
        if works:
            assert httpx.get(one.url, verify=context).text == "ok"
        else:
            with pytest.raises(httpx.ConnectError):
                httpx.get(one.url, verify=context)


def test_every_suite_and_curve_has_its_name_in_openssl():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for name in tls.CIPHER_SUITES.values():
        context.set_ciphers(name)
        assert name in {cipher["name"] for cipher in context.get_ciphers()}
    for name in tls.CURVES.values():
        context.set_ecdh_curve(name)


# Client certificates


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate_is_required_and_verified(site, get, clients, loop, version):
    one = site(VERIFIED, loop)
    stranger = trustme.CA().issue_cert("prometheus.example")
    assert turned_away(get, one, version=version)
    assert turned_away(get, one, version=version, client=stranger)
    assert get(one, version=version, client=clients.issue_cert("a.example")).text == "ok"


def test_a_client_certificate_may_be_optional(site, get, clients):
    one = site(VERIFIED.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven"))
    assert turned_away(get, one, client=trustme.CA().issue_cert("a.example"))
    assert get(one).text == "ok"
    assert get(one, client=clients.issue_cert("a.example")).text == "ok"


def test_a_client_certificate_that_is_not_looked_at_turns_nobody_away(site, get):
    one = site(VERIFIED.replace("RequireAndVerifyClientCert", "RequestClientCert"))
    assert get(one).text == "ok"
    assert get(one, client=trustme.CA().issue_cert("a.example")).text == "ok"


def test_without_an_authority_clients_are_held_against_the_systems(site, get, clients):
    one = site(VERIFIED.replace("  client_ca_file: clients.pem\n", ""))
    assert turned_away(get, one)
    assert turned_away(get, one, client=clients.issue_cert("a.example"))


def test_the_systems_authorities_are_openssls(site, get, clients, folder, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "clients.pem"))
    one = site(VERIFIED.replace("  client_ca_file: clients.pem\n", ""))
    assert get(one, client=clients.issue_cert("a.example")).text == "ok"


def test_an_authority_that_another_has_signed_is_trusted_as_it_is(site, get, clients, folder):
    middle = clients.create_child_ca()
    middle.cert_pem.write_to_path(folder / "clients.pem")
    one = site(VERIFIED)
    assert turned_away(get, one, client=clients.issue_cert("a.example"))
    assert get(one, client=middle.issue_cert("a.example")).text == "ok"


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_only_allowed_names_are_let_in(site, get, clients, loop, version, caplog):
    one = site(f"{VERIFIED}  client_allowed_sans: [prometheus.example]\n", loop)
    with caplog.at_level(logging.INFO, "exporter.web.toolkit"):
        other = clients.issue_cert("other.example")
        assert turned_away(get, one, version=version, client=other)
    assert "other.example" in caplog.text
    assert turned_away(get, one, version=version)
    allowed = clients.issue_cert("x.example", "prometheus.example")
    assert get(one, version=version, client=allowed).text == "ok"


@pytest.mark.parametrize("name", ["192.0.2.1", "2001:db8::1", "prometheus@example.org"])
def test_names_are_of_every_kind(site, get, clients, name):
    one = site(f"{VERIFIED}  client_allowed_sans: ['{name}']\n")
    assert get(one, client=clients.issue_cert(name)).text == "ok"
    assert get(one, client=clients.issue_cert("a.example", name)).text == "ok"


def test_a_uri_is_a_name():
    certificate = {"subjectAltName": (("URI", "spiffe://a/b"), ("DirName", "x"))}
    assert tls.alternative_names(certificate) == {"spiffe://a/b"}
    assert tls.alternative_names(None) == frozenset()


def test_prometheus_scrapes_through_all_of_it(site, folder, ca, clients):
    """Its scraper offers HTTP/2, shows its certificate and logs in."""
    client = clients.issue_cert("prometheus.example")
    client.private_key_pem.write_to_path(folder / "client-key.pem")
    client.cert_chain_pems[0].write_to_path(folder / "client.pem")
    ca.cert_pem.write_to_path(folder / "ca.pem")
    hashed = bcrypt.hashpw(b"password", bcrypt.gensalt(4)).decode()
    one = site(
        f"{VERIFIED}  client_allowed_sans: [prometheus.example]\n"
        f"basic_auth_users:\n  prometheus: {hashed}\n"
    )
    job = {
        "job_name": "exporter",
        "scrape_interval": "1s",
        "scheme": "https",
        "basic_auth": {"username": "prometheus", "password": "password"},
        "tls_config": {
            "ca_file": "ca.pem",
            "cert_file": "client.pem",
            "key_file": "client-key.pem",
        },
        "static_configs": [{"targets": [f"127.0.0.1:{one.port}"]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps({"scrape_configs": [job]}))
    command = [
        str(components.prometheus()),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 60
            while not one.app.paths and time.monotonic() < deadline:
                time.sleep(0.1)
        finally:
            process.terminate()
    assert set(one.app.paths) == {"/metrics"}


# Changes without a restart


@pytest.mark.parametrize("loop", LOOPS)
def test_a_new_certificate_is_shown_to_new_connections(site, get, folder, loop):
    one = site(SERVED, loop)
    before = shown_certificate(one)
    other = trustme.CA()
    put_certificate(folder, other)
    assert shown_certificate(one) == before  # looked at once a second
    one.clock.now += 1
    assert shown_certificate(one) == (folder / "cert.pem").read_text()
    assert get(one, authority=other).text == "ok"


def test_an_open_connection_stays_over_a_new_certificate(site, ca, folder):
    one = site(SERVED)
    with httpx.Client(verify=trusting(ca)) as client:
        assert client.get(one.url).text == "ok"
        put_certificate(folder, trustme.CA())
        one.clock.now += 1
        assert client.get(one.url).text == "ok"


def test_a_certificate_without_its_key_changes_nothing_until_the_key_is_there(
    site, get, folder, caplog
):
    one = site(SERVED)
    before = shown_certificate(one)
    other = trustme.CA().issue_cert("127.0.0.1")
    other.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    one.clock.now += 1
    assert shown_certificate(one) == before
    assert get(one).text == "ok"
    assert "does not belong to" in caplog.text
    other.private_key_pem.write_to_path(folder / "key.pem")
    one.clock.now += 1
    assert shown_certificate(one) == (folder / "cert.pem").read_text()


def test_an_authority_can_be_replaced(site, get, clients, folder):
    one = site(VERIFIED)
    newer = trustme.CA()
    newer.cert_pem.write_to_path(folder / "clients.pem")
    one.clock.now += 1
    assert get(one, client=newer.issue_cert("a.example")).text == "ok"
    one.app.paths.clear()
    assert turned_away(get, one, client=clients.issue_cert("a.example"))


def test_the_versions_can_be_changed(site, get):
    one = site(SERVED)
    assert get(one, version=ssl.TLSVersion.TLSv1_2).text == "ok"
    one.app.paths.clear()
    one.write(f"{SERVED}  min_version: TLS13\n")
    assert turned_away(get, one, version=ssl.TLSVersion.TLSv1_2)


def test_tls_is_not_turned_off_by_a_change(site, get, caplog):
    one = site(SERVED)
    one.write("{}\n")
    assert get(one).text == "ok"
    assert "takes a restart" in caplog.text


def test_tls_is_not_turned_on_by_a_change(site, caplog):
    one = site("{}\n")
    one.write(SERVED)
    assert httpx.get(one.url).text == "ok"
    assert "takes a restart" in caplog.text


# Loading


def test_settings_without_tls_are_warned_of(tmp_path):
    file = tmp_path / "web.yml"
    file.write_text("tls_server_config:\n  min_version: TLS13\n")
    (warning,) = toolkit.load(file).warnings
    assert warning == f"{file}:1: tls_server_config: without cert_file and key_file there is no TLS"


def test_paths_start_at_the_folder_of_the_file(folder, monkeypatch):
    (folder / "web.yml").write_text(SERVED)
    monkeypatch.chdir("/")
    assert toolkit.load(folder / "web.yml").tls is not None


def test_a_key_with_a_password_does_not_ask_the_terminal(folder):
    encrypted = subprocess.run(
        ["openssl", "ec", "-in", folder / "key.pem", "-aes256", "-passout", "pass:x"],
        capture_output=True,
        check=True,
    ).stdout
    (folder / "key.pem").write_bytes(encrypted)
    (folder / "web.yml").write_text(SERVED)
    program = f"from pathlib import Path; from exporter.web import toolkit; toolkit.load(Path({str(folder / 'web.yml')!r}))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert "is encrypted; the key has to be without a password" in done.stderr


def test_comments_between_certificates_may_be_in_any_language(folder, get, site):
    file = folder / "cert.pem"
    file.write_bytes("# Straße\n".encode() + file.read_bytes())
    assert get(site(SERVED)).text == "ok"
