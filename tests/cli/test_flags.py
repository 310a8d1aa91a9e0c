"""Which words are taken, what the others are told, and what help says."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from exporter import __version__
from exporter.cli import flags, version
from exporter.cli.main import MODULES
from exporter.emulators.faults import KINDS
from tests.cli.listeners import answering

LISTEN = "MEDIA_USAGE_EXPORTER_WEB_LISTEN_ADDRESS"
HEAVY = {
    *(
        "aiohttp",
        "asyncio",
        "http.client",
        "httpx",
        "msgspec",
        "prometheus_client",
        "sqlite3",
        "ssl",
    ),
    *("uvicorn", "uvloop", "yaml"),
    *("exporter.app", "exporter.config", "exporter.model", "exporter.web"),
}
"""Each takes longer to import than all that a quick command needs of its own."""


@pytest.fixture
def refused(capsys):
    """Says the one line with which these words are refused, as wrong usage."""

    def refused(*words, **environment):
        with pytest.raises(SystemExit) as ended:
            flags.parse(words, environment)
        assert ended.value.code == 2
        said = capsys.readouterr()
        assert said.out == ""
        (line,) = said.err.splitlines()
        return line

    return refused


@pytest.fixture
def printed(capsys):
    """What these words print when they are a question that ends well."""

    def printed(*words, **environment):
        with pytest.raises(SystemExit) as ended:
            flags.parse(words, environment)
        assert not ended.value.code
        return capsys.readouterr().out

    return printed


# --- Taken ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [[], ["serve"], ["--log.level", "debug"], ["--log.level=debug"]])
def test_serve_is_the_command_that_need_not_be_named(words):
    assert flags.parse(words, {}).command == "serve"


def test_every_command_has_its_module():
    assert list(MODULES) == list(flags.COMMANDS.commands)


def test_addresses_in_the_variable_are_parted_by_space_and_those_typed_take_their_place():
    environment = {LISTEN: " :1  127.0.0.1:2 "}
    assert flags.parse([], environment).web_listen_address == (":1", "127.0.0.1:2")
    words = ["--web.listen-address", ":3", "--web.listen-address=:4"]
    assert flags.parse(words, environment).web_listen_address == (":3", ":4")


@pytest.mark.parametrize(
    ("value", "words", "chosen"),
    [
        ("yes", [], True),
        ("TRUE", [], True),
        ("0", [], False),
        ("1", ["--no-web.enable-lifecycle"], False),
        ("off", ["--web.enable-lifecycle"], True),
    ],
)
def test_a_switch_is_thrown_by_its_variable_and_either_way_by_its_flag(value, words, chosen):
    environment = {"MEDIA_USAGE_EXPORTER_WEB_ENABLE_LIFECYCLE": value}
    assert flags.parse(words, environment).web_enable_lifecycle is chosen


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["check-config", "--online"], "online"),
        (["backfill", "--unsettled"], "unsettled"),
        (["serve", "--web.enable-lifecycle"], "web_enable_lifecycle"),
    ],
)
def test_a_switch_takes_no_value(words, name):
    chosen = flags.parse([*words, "--config.file", "x.yaml"], {})
    assert getattr(chosen, name) is True
    assert str(chosen.config_file) == "x.yaml"


# --- Refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["chekc-config"], "'check-config'"),
        (["--web.listen-adress", ":1"], "'--web.listen-address'"),
        (["once", "--ledger-path", "x"], "'--ledger.path'"),
    ],
)
def test_a_word_that_does_not_exist_is_answered_with_the_one_that_was_meant(refused, words, meant):
    assert refused(*words).endswith(f"Did you mean {meant}?")


def test_a_flag_is_written_in_full(refused):
    """A shorter one could come to mean another flag with the next version."""
    assert "No such option '--config'" in refused("--config", "x")


def test_an_empty_variable_is_refused_by_name(refused):
    """In a container it is one whose value got lost."""
    assert f"'{LISTEN}'" in refused("healthcheck", **{LISTEN: " "})
    assert flags.parse(["--web.listen-address", ":1"], {LISTEN: ""}).web_listen_address == (":1",)


@pytest.mark.parametrize(
    ("flag", "value", "expected"),
    [
        ("--web.enable-lifecycle", "maybe", "not a valid boolean"),
        ("--web.max-requests", "-1", "x>=1"),
        ("--web.max-requests", "many", "not a valid integer"),
        ("--log.level", "loud", "'debug', 'info', 'warn', 'error'"),
    ],
)
def test_a_value_of_no_use_is_refused_with_its_variable_and_what_was_expected(
    refused, flag, value, expected
):
    line = refused(**{flags.variable(flag): value})
    assert f"'{flag}' (env var: '{flags.variable(flag)}')" in line
    assert value in line
    assert expected in line


@pytest.mark.parametrize("number", ["-1", "0"])
def test_a_limit_that_would_refuse_every_scrape_is_refused(refused, number):
    assert f"{number} is not in the range" in refused("demo", "--web.max-requests", number)


def test_choices_that_click_lists_one_a_line_are_one_line(refused):
    assert refused("export").endswith("Choose from: csv, jsonl, parquet, focus, focus-parquet")


BAD = [
    ["serve", "\udcff"],
    ["serve", "--config.file", "\udcff"],
    ["serve", "--config.file", ""],
    ["demo", "--web.listen-address", "..:80"],
    ["demo", "--web.listen-address", f":{'9' * 5000}"],
    ["demo", "--web.listen-address", ":"],
    ["demo", "--web.telemetry-path", "/métriques"],
    ["demo", "--web.telemetry-path", "/metrics?x"],
    ["emulate", "--fault", "wowza:nonsense"],
    ["backfill", "--ledger.path", "/"],
    ["healthcheck", "--web.listen-address", "\udcff:1"],
]


@pytest.mark.sockets
@pytest.mark.parametrize("words", BAD, ids=lambda words: " ".join(words)[:60])
def test_no_input_is_answered_with_a_traceback(words, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "exporter", *map(os.fsencode, words)],
        capture_output=True,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert done.returncode in (1, 2)
    assert done.stdout == b""
    assert len(done.stderr.splitlines()) == 1, done.stderr


# --- Said -----------------------------------------------------------------------------------------


def test_help_of_all_names_the_commands_and_the_flags_of_serve(printed):
    text = printed("--help")
    for command in flags.COMMANDS.commands.values():
        assert f"{command.name} " in text
        assert str(command.help) in text
    for flag in flags.COMMANDS.commands["serve"].params:
        assert flag.opts[0] in text


def test_help_is_there_also_when_a_variable_is_wrong(printed):
    assert "--log.level" in printed("serve", "--help", MEDIA_USAGE_EXPORTER_LOG_LEVEL="loud")


def test_help_of_emulate_names_every_kind_of_fault(printed):
    words = printed("emulate", "--help").replace(",", " ").replace(".", " ").split()
    assert set(KINDS) <= set(words)


@pytest.mark.parametrize("words", [["--version"], ["serve", "--version"]])
def test_the_version_has_the_form_of_prometheus_however_narrow_the_terminal(
    printed, monkeypatch, tmp_path, words
):
    monkeypatch.setenv("COLUMNS", "10")
    monkeypatch.setattr(version, "REVISION", tmp_path / "REVISION")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    said = printed(*words)
    assert said.splitlines() == [
        f"media-usage-exporter, version {__version__} (revision: unknown)",
        f"  python version:   {platform.python_version()}",
        f"  platform:         {sys.platform}/amd64",
    ]
    (tmp_path / "REVISION").write_text("c0ffee\n")
    assert printed(*words) == said.replace("unknown", "c0ffee")


def modules_loaded(*words):
    """By the program, started with these words."""
    code = (
        "import sys\n"
        "from exporter.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print('loaded', *sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True, timeout=60
    )
    *said, loaded = done.stderr.splitlines()
    return said, set(loaded.split())


@pytest.mark.sockets
@pytest.mark.parametrize("words", [["--help"], ["--version"], ["serve", "--help"]])
def test_help_and_version_import_nothing_heavy(words):
    said, loaded = modules_loaded(*words)
    assert said == []
    assert "exporter.cli.flags" in loaded
    assert not loaded & HEAVY


@pytest.mark.sockets
def test_a_healthcheck_imports_nothing_heavy():
    """A container starts it every few seconds."""
    with answering(200, b"Healthy.\n") as port:
        said, loaded = modules_loaded("healthcheck", "--web.listen-address", f"127.0.0.1:{port}")
    assert said == []
    assert "exporter.cli.healthcheck" in loaded
    assert not loaded & HEAVY
