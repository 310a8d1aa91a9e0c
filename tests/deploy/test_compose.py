"""The compose files, by the compose specification's schema and by what they mount."""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from exporter import providers
from exporter.cli import flags
from exporter.config import load
from tests.deploy import relabelling
from tests.deploy.configurations import credential_files, credential_variables
from tests.support import components

pytestmark = pytest.mark.sockets

ROOT = Path(__file__).parent.parent.parent
COMPOSE = ROOT / "deploy/compose"
FILES = sorted(COMPOSE.glob("compose*.yaml"))
SERVICES = yaml.safe_load((COMPOSE / "compose.yaml").read_text("utf-8"))["services"]
ACCOUNTS = yaml.safe_load((COMPOSE / "compose.accounts.yaml").read_text("utf-8"))
REPLICAS = yaml.safe_load((COMPOSE / "compose.replicas.yaml").read_text("utf-8"))


def merged(under, over):
    """One file's services with those of a second one, as far as the two differ here.

    Mappings are merged, ports and volumes joined (of volumes by where they are mounted), and anything
    else of the second takes the place of the first's.
    """
    result = dict(under)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        elif key == "volumes" and key in result:
            at = {one.split(":")[1]: one for one in (*result[key], *value)}
            result[key] = list(at.values())
        else:
            result[key] = value
    return result


REPLICATED = merged(SERVICES, REPLICAS["services"])
EXPORTERS = ["exporter", "exporter-2", "exporter-3"]
ALL = [
    *(pytest.param(service, id=name) for name, service in SERVICES.items()),
    *(pytest.param(service, id=f"replicas-{name}") for name, service in REPLICATED.items()),
]


def bind_mounts():
    """(source, path in the container) of every file and folder of the repository."""
    files = (SERVICES, ACCOUNTS["services"], REPLICAS["services"])
    for service in (service for services in files for service in services.values()):
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


@pytest.mark.parametrize("service", ALL)
def test_a_service_may_do_no_more_than_it_has_to(service):
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid"} & service.keys()
    # The image of the database begins as root, and needs rights to become another.
    assert service.get("user") == ("postgres" if "postgres" in service["image"] else None)
    for volume in service.get("volumes", ()):
        assert volume.endswith(":ro") or not volume.startswith(".")


@pytest.mark.parametrize("service", ALL)
def test_a_service_is_published_on_the_loopback_alone(service):
    for port in service.get("ports", ()):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)


@pytest.mark.parametrize("service", ALL)
def test_a_service_tells_how_healthy_it_is(service):
    # The exporter's is in its image; emulated vendors are not an exporter.
    image = "HEALTHCHECK" in (ROOT / "deploy/docker/Dockerfile").read_text("utf-8")
    exporter = "build" in service and service["command"][0] != "emulate"
    assert "healthcheck" in service or (exporter and image)


@pytest.mark.parametrize("service", ALL)
def test_what_is_not_built_here_has_a_version(service):
    assert "build" in service or re.fullmatch(r"[\w/]+:v?\d+(\.\d+){1,2}", service["image"])


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


# Replicas


def test_replicas_are_three_of_the_same_exporter_with_names_of_their_own():
    services = {name: dict(REPLICAS["services"][name]) for name in EXPORTERS}
    assert [service.pop("hostname") for service in services.values()] == EXPORTERS
    one, *others = services.values()
    assert others == [one] * 2
    assert flags.parse(one["command"], {}).command == "serve"
    assert (COMPOSE / one["build"]["context"]).resolve() == ROOT
    assert one["build"] == SERVICES["exporter"]["build"]


def test_no_port_is_published_twice():
    published = [port for service in REPLICATED.values() for port in service.get("ports", ())]
    assert sorted(published) == sorted(set(published))


def test_replicas_find_their_database_vendors_and_passwords():
    configuration = load(COMPOSE / "replicas.yaml", providers.load())
    service = REPLICAS["services"]["exporter"]
    database = REPLICAS["services"]["postgresql"]
    url = urlsplit(configuration.ledger.url)
    assert REPLICAS["services"][url.hostname] == database
    given = database["environment"]
    assert (given["POSTGRES_USER"], given["POSTGRES_DB"]) == (url.username, url.path[1:])
    password = configuration.ledger.password_env
    assert service["environment"][password] == given["POSTGRES_PASSWORD"]
    assert credential_variables(COMPOSE / "replicas.yaml") == service["environment"].keys() - {
        password
    }
    vendors = REPLICAS["services"]["vendors"]
    port = flags.parse(vendors["command"], {}).listen_address.rpartition(":")[2]
    assert {urlsplit(one.url).netloc for one in configuration.accounts} == {f"vendors:{port}"}
    assert {one.provider.name for one in configuration.accounts} == providers.load().keys()
    assert service["depends_on"].keys() == {url.hostname, "vendors"}


def test_the_database_is_reached_by_replicas_alone():
    assert REPLICAS["networks"]["ledger"] == {"internal": True}
    assert REPLICATED["postgresql"]["networks"] == ["ledger"]
    assert "ports" not in REPLICATED["postgresql"]
    within = [name for name, one in REPLICATED.items() if "ledger" in one.get("networks", ())]
    assert sorted(within) == [*EXPORTERS, "postgresql"]


def test_prometheus_scrapes_every_replica_and_relabels_as_it_is_shipped():
    mounts = [volume.split(":")[:2] for volume in REPLICATED["prometheus"]["volumes"]]
    sources = {target: source for source, target in mounts}
    here = yaml.safe_load((COMPOSE / sources["/etc/prometheus/prometheus.yml"]).read_text("utf-8"))
    one = yaml.safe_load((COMPOSE / "prometheus.yml").read_text("utf-8"))
    (job,) = here["scrape_configs"]
    assert job.pop("metric_relabel_configs") == relabelling.shipped()
    (targets,) = (group["targets"] for group in job["static_configs"])
    assert targets == [f"{name}:{flags.DEFAULT_PORT}" for name in EXPORTERS]
    job["static_configs"] = one["scrape_configs"][0]["static_configs"]
    assert here == one
    assert REPLICATED["prometheus"]["depends_on"].keys() == {*EXPORTERS, "alertmanager"}


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


@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus.replicas.yml"])
def test_prometheus_takes_its_configuration(name):
    checked = subprocess.run(
        [
            components.promtool(),
            "check",
            "config",
            "--syntax-only",
            COMPOSE / name,
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
