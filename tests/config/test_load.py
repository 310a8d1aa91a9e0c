"""What a configuration is read into, and what is said of one that is wrong.

Each file in `invalid` is named for its mistake and ends with the faults, on lines with `#:`.
"""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter import config
from exporter.config import fields, nodes
from exporter.credentials import EnvironmentCredential, FileCredential
from exporter.model.errors import ConfigError
from tests.config.vendors import ACME, APPS, VENDORS

HERE = Path(__file__).parent
INVALID = sorted(HERE.glob("invalid/*.yaml"))
VALID = sorted(HERE.glob("valid/*.yaml"))
SMALLEST = (HERE / "valid/smallest.yaml").read_text()


@pytest.fixture
def load(tmp_path):
    """Reads text, or bytes, as a configuration with the invented vendors."""

    def load(content):
        path = tmp_path / "config.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return config.load(path, VENDORS)

    return load


@pytest.fixture
def faults(load, tmp_path):
    """What is wrong with text, or bytes, without the path in front."""

    def faults(content):
        with pytest.raises(ConfigError) as caught:
            load(content)
        prefix = f"{tmp_path / 'config.yaml'}:"
        assert all(fault.startswith(prefix) for fault in caught.value.faults)
        return [fault.removeprefix(prefix) for fault in caught.value.faults]

    return faults


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_every_mistake_is_named_with_its_line_and_key(path):
    """The faults of a file are those that it says it has, all at once and in order."""
    text = path.read_text()
    expected = [f"{path}:{line[3:]}" for line in text.splitlines() if line.startswith("#: ")]
    with pytest.raises(ConfigError) as caught:
        config.load(path, VENDORS)
    assert caught.value.faults == expected


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_no_fault_shows_what_may_be_a_credential(path):
    """Whatever a file holds in place of a credential stays in the file."""
    with pytest.raises(ConfigError) as caught:
        config.load(path, VENDORS)
    assert "verysecret" not in str(caught.value)
    assert "very-secret" not in str(caught.value)


def test_ten_faults_are_ten_lines():
    """Nobody has to start the exporter ten times to find ten faults."""
    with pytest.raises(ConfigError) as caught:
        config.load(HERE / "invalid/ten_faults.yaml", VENDORS)
    assert len(str(caught.value).splitlines()) == 10


def test_no_two_files_hold_the_same_mistake():
    """A file that repeats another one's mistake would test nothing."""
    assert len({path.read_text() for path in INVALID}) == len(INVALID) > 80


def test_the_smallest_configuration_has_the_documented_defaults(load, tmp_path):
    """Only accounts have to be given."""
    assert load(SMALLEST) == config.Config(
        polling=config.Polling(
            cadence_seconds=900,
            delay_seconds=60,
            history="month",
            timeout_seconds=30.0,
            concurrency=8,
            requests_per_second=None,
        ),
        ledger=config.LedgerSettings(path=tmp_path / "usage.db", retention_seconds=400 * 86400),
        limits=config.Limits(streams=10000, labels=100_000),
        accounts=(
            config.Account(
                name="a",
                provider=ACME,
                url="https://api.acme.example",
                auth_url=None,
                credential=config.BearerCredential(EnvironmentCredential("TOKEN")),
                feeds=("account", "streams"),
                options={"streams": (), "discover": True, "api_version": "v2", "region": ""},
            ),
        ),
        path=tmp_path / "config.yaml",
    )


def test_every_key_is_read():
    """Each value of a file that gives all keys arrives where it belongs."""
    read = config.load(HERE / "valid/everything.yaml", VENDORS)
    assert read.polling == config.Polling(
        cadence_seconds=5400,
        delay_seconds=0,
        history="max",
        timeout_seconds=1.5,
        concurrency=2,
        requests_per_second=2.5,
    )
    assert read.ledger == config.LedgerSettings(
        path=Path("/var/lib/exporter/usage.db"), retention_seconds=365 * 86400
    )
    assert read.limits == config.Limits(streams=1, labels=100_000)
    studio, apps, ready = read.accounts
    assert studio == config.Account(
        name="Studio „Süd“ no. 1",
        provider=ACME,
        url="http://127.0.0.1:10033/acme",
        auth_url=None,
        credential=config.BearerCredential(FileCredential(HERE / "valid/secrets/acme")),
        feeds=("countries", "account"),
        options={
            "streams": ("15:00", "no", "a: b"),
            "discover": False,
            "api_version": "v1",
            "region": "eu",
        },
    )
    assert (apps.provider, apps.url, apps.feeds) == (APPS, "https://[::1]:8443", ("jobs",))
    assert apps.auth_url == "https://login.example/base"
    assert apps.credential == config.AppCredential(
        key=EnvironmentCredential("APP_KEY"),
        secret=FileCredential(HERE / "valid/../secret"),
    )
    assert ready.auth_url == "https://login.apps.example"
    assert ready.credential == config.BearerCredential(EnvironmentCredential("APPS_TOKEN"))


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_relative_paths_start_at_the_files_folder(path, monkeypatch, tmp_path):
    """The working directory makes no difference once the file is read, nor to what is read."""
    before = config.load(path, VENDORS)
    monkeypatch.chdir(path.parent)
    by_name = config.load(Path(path.name), VENDORS)
    assert by_name.ledger == before.ledger
    assert by_name.accounts == before.accounts
    assert before.ledger.path is None or before.ledger.path.is_absolute()


def test_an_alias_stands_for_what_it_points_to():
    """Aliases within reason work, and YAML 1.1's words for true and false with them."""
    first, second = config.load(HERE / "valid/aliases.yaml", VENDORS).accounts
    assert first.feeds == second.feeds == ("account",)
    assert second.options["discover"] is True


@pytest.mark.parametrize(
    ("cadence", "delay_seconds"),
    [("1s", 0), ("15s", 1), ("1m", 4), ("119s", 7), ("2m", 60), ("15m", 60), ("1d", 60)],
)
def test_a_short_cadence_shortens_the_default_delay(load, cadence, delay_seconds):
    """A delay that nobody asked for never takes up the cadence."""
    read = load(f"polling: {{cadence: {cadence}}}\n{SMALLEST}")
    assert read.polling.delay_seconds == delay_seconds


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("2", 2.0),
        ("0.5", 0.5),
        ("1000", 1000.0),
        ("0.00012345678901234567", 0.00012345678901234567),
        ("1.0e-05", 0.00001),
    ],
)
def test_a_number_may_have_a_fraction(load, written, number):
    """Whole numbers, fractions, and what YAML makes of the smallest are numbers all the same."""
    polling = load(f"polling: {{requests_per_second: {written}}}\n{SMALLEST}").polling
    assert polling.requests_per_second == number
    assert isinstance(polling.requests_per_second, float)


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("https://api.acme.example", False),
        ("http://localhost:1", False),
        ("http://acme.localhost", False),
        ("http://127.8.9.1", False),
        ("http://[::1]:80", False),
        ("http://192.0.2.1", True),
        ("http://localhost.example", True),
    ],
)
def test_plain_http_to_another_machine_is_warned_of(load, tmp_path, url, warned):
    """Emulators on loopback are fine, anything else shows the credential to the network."""
    read = load(f"accounts:\n- name: a\n  provider: acme\n  credentials_env: T\n  url: {url}\n")
    warning = (
        f"{tmp_path / 'config.yaml'}:5: accounts[0].url: "
        "plain http; everybody on the way can read the credential"
    )
    assert read.warnings == ((warning,) if warned else ())


def test_credentials_are_not_read_with_the_file(load):
    """A configuration may be checked where its credentials are not."""
    assert load(SMALLEST.replace("credentials_env: TOKEN", "credentials_file: /nowhere"))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "1: the file is empty"),
        (b"\xef\xbb\xbf", "1: the file is empty"),
        (b"a: b\nc: \xff\n", "2: not UTF-8"),
        ("accounts: []".encode("utf-16"), "1: not UTF-8"),
        (b"a: b\r\nc: \x00\n", "2: the character U+0000, which YAML does not allow"),
        (b"a: " + b"[" * 100_000, "1: more than 32 levels"),
        (b"- " * 100_000, "1: more than 32 levels"),
        (
            b"a: *a",
            "1: not valid YAML: an alias (*) without its anchor (&); put the value in quotes",
        ),
    ],
)
def test_files_that_are_hardly_yaml_have_one_fault(faults, content, expected):
    """Bytes that no parser should be asked about are refused in one line."""
    assert faults(content) == [expected]


def test_a_byte_order_mark_is_no_fault(load):
    """Windows editors begin files with one."""
    assert load(b"\xef\xbb\xbf" + SMALLEST.encode()).accounts


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("missing.yaml", "No such file or directory"),
        ("folder", "Is a directory"),
        ("file/config.yaml", "Not a directory"),
        ("x" * 5000, "File name too long"),
        ("large", "larger than 1 MiB"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(tmp_path, name, why):
    """The path and the system's own words, no traceback."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "large").write_bytes(b"#" * (nodes.MAX_FILE_BYTES + 1))
    with pytest.raises(ConfigError) as caught:
        config.load(tmp_path / name, VENDORS)
    assert caught.value.faults == [f"{tmp_path / name}: {why}"]


def test_a_path_with_nul_is_no_path():
    """Python's ValueError for it is a fault like others."""
    with pytest.raises(ConfigError, match="not a path"):
        config.load(Path("a\0b"), VENDORS)


def test_pyyamls_own_loader_reveals_nothing_either(monkeypatch):
    """Without libyaml the words differ, but there is still one line a fault and no content."""
    monkeypatch.setattr(nodes, "Loader", yaml.SafeLoader)
    for path in INVALID:
        with pytest.raises(ConfigError) as caught:
            config.load(path, VENDORS)
        said = str(caught.value)
        assert "verysecret" not in said, path.name
        assert len(said.splitlines()) == len(caught.value.faults), path.name


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """One file for all examples of a property."""
    return tmp_path_factory.mktemp("scratch") / "config.yaml"


def _loads_or_faults(path, content):
    path.write_bytes(content)
    faults = []
    try:
        config.load(path, VENDORS)
    except ConfigError as error:
        faults = error.faults or [""]
    for fault in faults:
        assert fault.startswith(f"{path}:")
        assert fault.isprintable(), "one line, and nothing that a terminal acts on"


@settings(deadline=None)
@given(content=st.one_of(st.binary(), st.text().map(lambda text: text.encode("utf-8", "replace"))))
def test_arbitrary_bytes_raise_nothing_but_config_errors(scratch, content):
    """No input is a traceback."""
    _loads_or_faults(scratch, content)


EVERYTHING = (HERE / "valid/everything.yaml").read_text()
PIECES = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["\n", "  ", "- ", ": ", "*a", "&a ", "!!int ", "[", "{", '"', "'", "|", "#"]),
)


@settings(deadline=None)
@given(
    edits=st.lists(
        st.tuples(st.integers(0, len(EVERYTHING)), st.integers(0, 20), PIECES), max_size=4
    )
)
def test_edited_configurations_raise_nothing_but_config_errors(scratch, edits):
    """Nor is any slip of a hand in a file that was right."""
    text = EVERYTHING
    for start, length, piece in edits:
        text = text[:start] + piece + text[start + length :]
    _loads_or_faults(scratch, text.encode("utf-8", "replace"))


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.dates(),
        st.text(max_size=5),
        st.sampled_from(["1m", "max", "acme", "apps", "account", "https://x.example", "0"]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)
KEYS = sorted({item.key for vendor in VENDORS.values() for item in fields.account_fields(vendor)})
SECTIONS = {
    section.key: st.dictionaries(st.sampled_from([item.key for item in section.fields]), VALUES)
    for section in fields.SECTIONS
}
DOCUMENTS = st.fixed_dictionaries(
    {"accounts": st.lists(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6), max_size=3)},
    optional=SECTIONS,
)


@settings(deadline=None)
@given(document=DOCUMENTS)
def test_wrong_types_anywhere_raise_nothing_but_config_errors(scratch, document):
    """Every key copes with every kind of value."""
    _loads_or_faults(scratch, yaml.safe_dump(document, allow_unicode=True).encode())
