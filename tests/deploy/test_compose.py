"""The compose files, by the compose specification's schema and by what they mount."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from exporter.cli import flags
from tests.deploy.configurations import credential_files
from tests.support import components

pytestmark = pytest.mark.sockets

ROOT = Path(__file__).parent.parent.parent
COMPOSE = ROOT / "deploy/compose"
FILES = sorted(COMPOSE.glob("compose*.yaml"))
SERVICES = yaml.safe_load((COMPOSE / "compose.yaml").read_text("utf-8"))["services"]
ACCOUNTS = yaml.safe_load((COMPOSE / "compose.accounts.yaml").read_text("utf-8"))


def bind_mounts():
    """(source, path in the container) of every file and folder of the repository."""
    for service in (*SERVICES.values(), *ACCOUNTS["services"].values()):
        for volume in service.get("volumes", ()):
            source, target = volume.split(":")[:2]
            if source.startswith("."):
                yield pytest.param(source, target, id=target)


def test_compose_files_follow_the_specification():
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run([*command, *FILES], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_a_compose_file_says_no_version_which_engines_warn_of():
    for file in FILES:
        assert "version" not in yaml.safe_load(file.read_text("utf-8"))


@pytest.mark.parametrize(("source", "target"), list(bind_mounts()))
def test_what_is_mounted_exists_and_is_not_empty(source, target):
    path = (COMPOSE / source).resolve()
    assert path.is_relative_to(ROOT)
    assert path.is_file() or any(path.iterdir())


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_no_more_than_it_has_to(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "user"} & service.keys()
    for volume in service["volumes"]:
        assert volume.endswith(":ro") or not volume.startswith(".")


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_published_on_the_loopback_alone(name):
    for port in SERVICES[name]["ports"]:
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_tells_how_healthy_it_is(name):
    # The exporter's is in its image.
    image = "HEALTHCHECK" in (ROOT / "deploy/docker/Dockerfile").read_text("utf-8")
    assert "healthcheck" in SERVICES[name] or (name == "exporter" and image)


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"exporter"}))
def test_what_is_not_built_here_has_a_version(name):
    assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", SERVICES[name]["image"])


def test_the_exporter_is_built_from_the_repository_and_shown_where_it_listens():
    exporter = SERVICES["exporter"]
    context = (COMPOSE / exporter["build"]["context"]).resolve()
    assert context == ROOT
    assert (context / exporter["build"]["dockerfile"]).is_file()
    assert exporter["ports"] == [f"127.0.0.1:{flags.DEFAULT_PORT}:{flags.DEFAULT_PORT}"]
    assert flags.parse(exporter["command"], {}).command == "demo"


def test_your_own_accounts_find_each_of_their_secrets():
    (service,) = ACCOUNTS["services"].values()
    assert flags.parse(service["command"], {}).command == "serve"
    mounted = {Path("/run/secrets") / name for name in service["secrets"]}
    assert credential_files(COMPOSE / "accounts.yaml") == mounted
    assert service["secrets"] == list(ACCOUNTS["secrets"])


def test_secrets_lie_where_git_does_not_look():
    ignored = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert "/secrets/" in ignored
    for secret in ACCOUNTS["secrets"].values():
        assert (COMPOSE / secret["file"]).resolve().parent == ROOT / "secrets"


def test_prometheus_here_differs_from_the_example_in_names_and_pace_alone():
    here = yaml.safe_load((COMPOSE / "prometheus.yml").read_text("utf-8"))
    example = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text("utf-8"))
    (job,), (alertmanager,) = here["scrape_configs"], here["alerting"]["alertmanagers"]
    assert job["static_configs"] == [{"targets": [f"exporter:{flags.DEFAULT_PORT}"]}]
    assert alertmanager["static_configs"] == [{"targets": ["alertmanager:9093"]}]
    assert here["rule_files"] == ["rules/*.yml"]
    assert {str(Path(file).parent) for file in example["rule_files"]} == {"rules"}
    for config in (here, example):
        del config["rule_files"]
        del config["scrape_configs"][0]["static_configs"]
        del config["scrape_configs"][0]["scrape_interval"]
        del config["alerting"]["alertmanagers"][0]["static_configs"]
    assert here == example


def test_prometheus_takes_its_configuration():
    checked = subprocess.run(
        [
            components.promtool(),
            "check",
            "config",
            "--syntax-only",
            COMPOSE / "prometheus.yml",
        ],
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stderr


def test_grafana_finds_prometheus_and_the_dashboards_where_compose_puts_them():
    provisioning = ROOT / "grafana/provisioning"
    mounts = [volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"]]
    targets = {(COMPOSE / source).resolve(): target for source, target in mounts}
    (sources,) = provisioning.glob("datasources/*.yaml")
    (dashboards,) = provisioning.glob("dashboards/*.yaml")
    (source,) = yaml.safe_load(sources.read_text("utf-8"))["datasources"]
    (provider,) = yaml.safe_load(dashboards.read_text("utf-8"))["providers"]
    assert targets[provisioning] == "/etc/grafana/provisioning"
    assert targets[ROOT / "grafana/dashboards"] == provider["options"]["path"]
    assert source["url"] == "http://prometheus:9090"
