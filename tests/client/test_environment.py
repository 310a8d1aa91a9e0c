"""Variables of the environment that httpx cannot use are named before it meets them."""

import sys

import httpx
import pytest
import trustme

from exporter.client import environment
from exporter.client.aiohttp_transport import AiohttpTransport
from exporter.client.http import BearerAuth, VendorClient
from exporter.client.network import HttpxSender, network
from exporter.credentials import CurrentCredential, EnvironmentCredential
from exporter.model.errors import ExporterError

PASSWORD = "pr0xy-password"


def told(**variables):
    """The one line that is said of these variables."""
    with pytest.raises(ExporterError) as caught:
        environment.check(variables)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"HTTP_PROXY": "", "NO_PROXY": ""},
        {"HTTPS_PROXY": "http://proxy.example.com:3128"},
        {"https_proxy": "proxy.example.com:3128"},
        {"HTTPS_PROXY": f"http://user:{PASSWORD}@[::1]:3128/"},
        {"NO_PROXY": "localhost, .example.com,10.0.0.0/8,::1,http://a.example.com:80,"},
        {"HTTPS_PROXY": "ftp://x", "https_proxy": "http://proxy.example.com"},
        {"HTTPS_PROXY": "ftp://x", "https_proxy": ""},
        {"HTTPS_PROXY": "ftp://x", "NO_PROXY": "[::1,*"},
        {"FTP_PROXY": "ftp://x"},
    ],
)
def test_what_httpx_can_use_is_no_fault(variables, monkeypatch):
    for name in variables:
        monkeypatch.delenv(name.swapcase(), raising=False)
    environment.check(variables)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    httpx.Client()  # has no fault to find either


@pytest.mark.parametrize(
    ("variable", "value", "what"),
    [
        ("HTTP_PROXY", "ftp://x", "no proxy is asked by 'ftp'"),
        ("https_proxy", " http://x:1", "not an address"),
        ("HTTPS_PROXY", "http://[::1", "not an address"),
        ("HTTPS_PROXY", f"http://user:{PASSWORD}@x:99999", "no host or port to connect to"),
        ("ALL_PROXY", "http://", "no host or port to connect to"),
        ("ALL_PROXY", " ", "no host or port to connect to"),
        ("ALL_PROXY", f"gopher://user:{PASSWORD}@x", "no proxy is asked by 'gopher'"),
    ],
)
def test_a_proxy_of_no_use_is_told_with_its_variable_and_without_its_password(
    variable, value, what
):
    line = told(**{variable: value})
    assert line.startswith(f"environment variable {variable}: ")
    if not value.startswith(" h"):
        assert what in line
    assert "expected the address of a proxy, such as http://proxy.example.com:3128" in line
    assert PASSWORD not in line


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_a_socks_proxy_needs_a_library_that_is_offered_by_name(monkeypatch, scheme):
    variables = {"ALL_PROXY": f"{scheme}://127.0.0.1:1080"}
    monkeypatch.setitem(sys.modules, "socksio", None)
    assert told(**variables) == (
        "environment variable ALL_PROXY: a SOCKS proxy needs socksio:"
        f" {sys.executable} -m pip install 'socksio>=1.0'"
    )
    monkeypatch.setitem(sys.modules, "socksio", sys)
    environment.check(variables)


@pytest.mark.parametrize("entry", ["[::1", "[::1]", "example.com:port", "*.exämple.com"])
def test_an_exception_that_names_no_host_is_told(entry):
    line = told(NO_PROXY=f"localhost,{entry}")
    assert line.startswith(f"environment variable NO_PROXY: {entry!r} names no host; expected")


def test_authorities_are_a_file_with_certificates(tmp_path):
    good, other, absent = (tmp_path / name for name in ("ca.pem", "ca.der", "none.pem"))
    trustme.CA().cert_pem.write_to_path(good)
    other.write_bytes(b"\x30\x82")
    environment.check({"SSL_CERT_FILE": str(good), "SSL_CERT_DIR": "/nowhere"})
    assert told(SSL_CERT_FILE=str(other)) == (
        f"environment variable SSL_CERT_FILE: {other} holds no certificate;"
        " expected a file with certificates of authorities in PEM"
    )
    for path, why in ((absent, "No such file or directory"), (tmp_path, "")):
        line = told(SSL_CERT_FILE=str(path))
        assert line.startswith(f"environment variable SSL_CERT_FILE: {path} ")
        assert why in line


def test_authorities_in_a_folder_need_one_that_is_there(tmp_path):
    environment.check({"SSL_CERT_DIR": f"/nowhere:{tmp_path}"})
    assert told(SSL_CERT_DIR="/nowhere").startswith(
        "environment variable SSL_CERT_DIR: /nowhere is no folder; expected one"
    )


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "https_proxy", "ALL_PROXY"])
def test_any_proxy_makes_httpx_carry_the_requests(variable, monkeypatch):
    """It knows how to ask each, and which hosts to ask without one."""
    for name in environment.PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    assert isinstance(network(True, connections=1), AiohttpTransport)
    monkeypatch.setenv("NO_PROXY", "api.example.com")
    assert isinstance(network(True, connections=1), AiohttpTransport)
    monkeypatch.setenv(variable, "http://proxy.example.com:3128")
    assert isinstance(network(True, connections=1), HttpxSender)


async def test_a_client_with_a_transport_of_its_own_asks_no_proxy(monkeypatch, vendor_of):
    monkeypatch.setenv("HTTPS_PROXY", "ftp://x")
    monkeypatch.delenv("https_proxy", raising=False)
    await vendor_of(httpx.MockTransport(lambda request: httpx.Response(200))).aclose()
    with pytest.raises(ExporterError, match="environment variable HTTPS_PROXY"):
        vendor_of(None)


@pytest.fixture
def vendor_of(monkeypatch):
    """A client with that transport."""
    from exporter import providers

    monkeypatch.setenv("TOKEN", "x")

    class Unobserved:
        def request(self, feed, code, seconds):
            pass

    def make(transport):
        return VendorClient(
            account="a",
            provider=providers.load()["wowza"],
            url="https://api.example.com",
            auth=BearerAuth(CurrentCredential(EnvironmentCredential("TOKEN"))),
            timeout_seconds=1,
            concurrency=1,
            cadence_seconds=900,
            observe=Unobserved(),
            transport=transport,
        )

    return make


def test_authorities_are_read_once_for_all_clients(tmp_path, monkeypatch):
    """To read them takes a tenth of a second, which hundreds of accounts would take each."""
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(file)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    authorities = environment.Authorities()
    context = authorities.context()
    file.unlink()
    assert authorities.context() is context
    with pytest.raises(ExporterError, match="environment variable SSL_CERT_FILE"):
        environment.Authorities().context()
