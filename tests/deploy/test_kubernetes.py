"""The manifests, by the API's own schemas and by what a careful cluster insists on."""

import copy
import json
import re
import subprocess
import warnings
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from exporter.cli import flags
from tests.deploy import relabelling
from tests.deploy.configurations import credential_files, password_files
from tests.deploy.kustomize import render
from tests.support import components

pytestmark = pytest.mark.sockets

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import kubernetes_validate

ROOT = Path(__file__).parent.parent.parent
KUBERNETES = ROOT / "deploy/kubernetes"
RULES = ROOT / "deploy/prometheus/rules"
EXAMPLES = [KUBERNETES / "example", KUBERNETES / "example-replicas"]
KUSTOMIZATIONS = [KUBERNETES / "base", *EXAMPLES]
SUPPORTED_VERSIONS = ["1.29", kubernetes_validate.latest_version()]
DURATION = re.compile(r"(0|(\d+y)?(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?)")


@pytest.fixture(scope="module")
def objects():
    """What the example makes, by kind and name."""
    return {(one["kind"], one["metadata"]["name"]): one for one in render(KUBERNETES / "example")}


@pytest.fixture(scope="module")
def stateful_set(objects):
    return objects["StatefulSet", "media-usage-exporter"]


@pytest.fixture(scope="module")
def pod(stateful_set):
    return stateful_set["spec"]["template"]["spec"]


@pytest.mark.parametrize("version", SUPPORTED_VERSIONS)
@pytest.mark.parametrize("folder", KUSTOMIZATIONS, ids=lambda path: path.name)
def test_every_object_of_kubernetes_own_is_valid_and_has_no_unknown_field(folder, version):
    for one in render(folder):
        if not one["apiVersion"].startswith("monitoring.coreos.com/"):
            kubernetes_validate.validate(one, version, strict=True)


@pytest.mark.parametrize("folder", KUSTOMIZATIONS, ids=lambda path: path.name)
def test_kustomize_makes_what_these_tests_look_at(folder):
    command = [*components.kustomize(), folder]
    rendered = subprocess.run(command, capture_output=True, text=True, check=True)
    # The hash that follows the configuration's name, there and where it is referred to.
    hashed = re.compile(r"^( *name: media-usage-exporter)-[0-9a-z]{10}$", re.MULTILINE)
    theirs = list(yaml.safe_load_all(hashed.sub(r"\1", rendered.stdout)))

    def key(one):
        return one["kind"], one["metadata"]["name"]

    assert sorted(theirs, key=key) == sorted(render(folder), key=key)


def test_a_pod_meets_the_restricted_security_standard(pod):
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    kinds = {next(key for key in volume if key != "name") for volume in pod["volumes"]}
    assert kinds <= {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()


def test_a_pod_can_write_to_its_ledger_and_its_scratch_space_alone(pod):
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    writable = {
        mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")
    }
    assert writable == {"/var/lib/media-usage-exporter", "/tmp"}


def test_a_pod_holds_no_key_to_the_cluster(objects, pod):
    assert pod["automountServiceAccountToken"] is False
    account = objects["ServiceAccount", pod["serviceAccountName"]]
    assert account["automountServiceAccountToken"] is False


def test_one_ledger_has_one_writer(stateful_set):
    assert stateful_set["spec"]["replicas"] == 1
    (claim,) = stateful_set["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]


def test_user_paths_and_port_are_those_of_the_image(pod):
    dockerfile = (ROOT / "deploy/docker/Dockerfile").read_text("utf-8")
    user = pod["securityContext"]
    (container,) = pod["containers"]
    (port,) = container["ports"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert f"\nUSER {user['runAsUser']}:{user['runAsGroup']}\n" in dockerfile
    assert user["fsGroup"] == user["runAsGroup"]
    assert f"CONFIG_FILE={mounts['config']}/config.yaml " in dockerfile
    assert f"LEDGER_PATH={mounts['ledger']}/usage.db " in dockerfile
    assert port["containerPort"] == flags.DEFAULT_PORT


def test_what_is_referred_to_exists(objects, pod):
    claims = objects["StatefulSet", "media-usage-exporter"]["spec"]["volumeClaimTemplates"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    (container,) = pod["containers"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == volumes.keys() | {claim["metadata"]["name"] for claim in claims}
    assert ("ConfigMap", volumes["config"]["configMap"]["name"]) in objects
    assert ("Secret", volumes["credentials"]["secret"]["secretName"]) in objects


def test_whoever_selects_the_pod_selects_it_by_labels_that_it_has(objects, stateful_set):
    service = objects["Service", "media-usage-exporter"]
    labels = stateful_set["spec"]["template"]["metadata"]["labels"].items()
    selectors = [
        stateful_set["spec"]["selector"]["matchLabels"],
        service["spec"]["selector"],
        objects["NetworkPolicy", "media-usage-exporter"]["spec"]["podSelector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector
        assert selector.items() <= labels
    assert stateful_set["spec"]["serviceName"] == service["metadata"]["name"]


@pytest.mark.parametrize("folder", KUSTOMIZATIONS, ids=lambda path: path.name)
def test_a_configuration_is_one_that_the_exporter_takes(folder, pod):
    (container,) = pod["containers"]
    secrets = next(m["mountPath"] for m in container["volumeMounts"] if m["name"] == "credentials")
    files = credential_files(folder / "config.yaml")
    assert {file.parent for file in files} == {Path(secrets)}


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda path: path.name)
def test_an_example_has_a_secret_for_each_credential_of_its_configuration(folder):
    (secret,) = (one["stringData"] for one in render(folder) if one["kind"] == "Secret")
    files = credential_files(folder / "config.yaml") | password_files(folder / "config.yaml")
    assert secret.keys() == {file.name for file in files}


# Replicas


def keyed(objects):
    return {(one["kind"], one["metadata"]["name"]): one for one in objects}


@pytest.fixture(scope="module")
def replicas():
    """What the example with replicas makes, by kind and name."""
    return keyed(render(KUBERNETES / "example-replicas"))


def test_a_replica_is_the_pod_of_one_exporter_without_its_ledger(pod, replicas):
    spec = replicas["Deployment", "media-usage-exporter"]["spec"]
    replica = copy.deepcopy(spec["template"]["spec"])
    (constraint,) = replica.pop("topologySpreadConstraints")
    labels = spec["template"]["metadata"]["labels"]
    assert constraint["labelSelector"]["matchLabels"].items() <= labels.items()
    alone = copy.deepcopy(pod)
    (container,) = alone["containers"]
    mounts = container["volumeMounts"]
    container["volumeMounts"] = [mount for mount in mounts if mount["name"] != "ledger"]
    assert replica == alone


def test_replicas_are_never_all_gone_in_a_rollout_or_when_nodes_are_drained(replicas):
    deployment = replicas["Deployment", "media-usage-exporter"]["spec"]
    budget = replicas["PodDisruptionBudget", "media-usage-exporter"]["spec"]
    assert deployment["replicas"] > budget["maxUnavailable"] == 1
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    labels = deployment["template"]["metadata"]["labels"]
    assert budget["selector"]["matchLabels"].items() <= labels.items()


def test_replicas_take_the_place_of_the_one_exporter_and_nothing_else_is_gone(objects, replicas):
    gone = objects.keys() - replicas.keys()
    assert gone == {("StatefulSet", "media-usage-exporter")}
    changed = {key for key in objects.keys() & replicas.keys() if objects[key] != replicas[key]}
    name = "media-usage-exporter"
    assert changed == {
        ("ConfigMap", name),
        ("NetworkPolicy", name),
        ("Secret", f"{name}-credentials"),
        ("ServiceMonitor", name),
    }


def test_replicas_of_the_example_find_the_database_of_the_example(replicas):
    ledger = yaml.safe_load((KUBERNETES / "example-replicas/config.yaml").read_text())["ledger"]
    url = urlsplit(ledger["url"])
    service = replicas["Service", url.hostname]
    database = replicas["StatefulSet", "media-usage-ledger"]["spec"]["template"]
    assert service["spec"]["selector"].items() <= database["metadata"]["labels"].items()
    (container,) = database["spec"]["containers"]
    values = {one["name"]: one["value"] for one in container["env"]}
    assert (values["POSTGRES_USER"], values["POSTGRES_DB"]) == (url.username, url.path[1:])
    # The same key of the same Secret, at the same place.
    assert values["POSTGRES_PASSWORD_FILE"] == ledger["password_file"]
    (password,) = (one for one in database["spec"]["volumes"] if one["name"] == "password")
    key = Path(ledger["password_file"]).name
    assert password["secret"]["items"] == [{"key": key, "path": key}]
    assert password["secret"]["secretName"] == "media-usage-exporter-credentials"


def test_the_way_from_replicas_to_the_database_is_open_and_no_other(replicas):
    (port,) = (
        port
        for port in replicas["Service", "media-usage-ledger"]["spec"]["ports"]
        if port["targetPort"] == "postgresql"
    )
    out = replicas["NetworkPolicy", "media-usage-exporter"]["spec"]["egress"]
    assert {"ports": [{"port": port["port"], "protocol": "TCP"}]} in out
    guard = replicas["NetworkPolicy", "media-usage-ledger"]["spec"]
    database = replicas["StatefulSet", "media-usage-ledger"]["spec"]["template"]["metadata"]
    exporter = replicas["Deployment", "media-usage-exporter"]["spec"]["template"]["metadata"]
    assert guard["podSelector"]["matchLabels"].items() <= database["labels"].items()
    assert guard["egress"] == []
    (rule,) = guard["ingress"]
    (peer,) = rule["from"]
    assert peer["podSelector"]["matchLabels"].items() <= exporter["labels"].items()


def test_the_database_meets_the_restricted_security_standard_and_writes_to_its_volumes(replicas):
    database = replicas["StatefulSet", "media-usage-ledger"]["spec"]["template"]["spec"]
    (container,) = database["containers"]
    assert database["automountServiceAccountToken"] is False
    assert database["securityContext"]["runAsNonRoot"] is True
    assert database["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    writable = {one["mountPath"] for one in container["volumeMounts"] if not one.get("readOnly")}
    assert writable == {"/var/lib/postgresql/data", "/var/run/postgresql", "/tmp"}
    values = {one["name"]: one["value"] for one in container["env"]}
    assert Path(values["PGDATA"]).parent == Path("/var/lib/postgresql/data")


def test_the_service_monitor_of_replicas_relabels_as_prometheus_does(objects, replicas):
    (endpoint,) = replicas["ServiceMonitor", "media-usage-exporter"]["spec"]["endpoints"]
    (alone,) = objects["ServiceMonitor", "media-usage-exporter"]["spec"]["endpoints"]
    assert endpoint == {**alone, "metricRelabelings": relabelling.for_operator()}


# The schemas of the Prometheus operator are published in its repository alone, so the two kinds of
# it are held to what its API reference says of the fields in use.


def test_the_service_monitor_scrapes_the_service_under_the_job_that_alerts_look_for(objects):
    monitor = objects["ServiceMonitor", "media-usage-exporter"]
    service = objects["Service", "media-usage-exporter"]
    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
    assert monitor.keys() == {"apiVersion", "kind", "metadata", "spec"}
    assert monitor["spec"].keys() == {"jobLabel", "selector", "endpoints"}
    assert (
        monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    )
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint.keys() == {"port", "interval", "scrapeTimeout"}
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert DURATION.fullmatch(endpoint["interval"])
    assert DURATION.fullmatch(endpoint["scrapeTimeout"])
    job = service["metadata"]["labels"][monitor["spec"]["jobLabel"]]
    scraped = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text("utf-8"))
    assert job in {one["job_name"] for one in scraped["scrape_configs"]}


def test_the_rules_of_the_operator_are_those_of_prometheus(objects):
    rule = objects["PrometheusRule", "media-usage-exporter"]
    groups = rule["spec"]["groups"]
    plain = [
        group
        for file in RULES.glob("*.yml")
        for group in yaml.safe_load(file.read_text("utf-8"))["groups"]
    ]
    assert rule.keys() == {"apiVersion", "kind", "metadata", "spec"}
    assert rule["apiVersion"] == "monitoring.coreos.com/v1"
    assert plain
    assert sorted(groups, key=str) == sorted(plain, key=str)


def test_a_rule_has_only_the_fields_and_forms_that_the_operator_takes(objects):
    groups = objects["PrometheusRule", "media-usage-exporter"]["spec"]["groups"]
    names = [group["name"] for group in groups]
    assert len(set(names)) == len(names)
    for group in groups:
        assert group.keys() <= {"name", "interval", "rules", "limit", "labels", "query_offset"}
        assert DURATION.fullmatch(group.get("interval", "0"))
        for one in group["rules"]:
            assert one.keys() <= {
                "alert",
                "annotations",
                "expr",
                "for",
                "keep_firing_for",
                "labels",
                "record",
            }
            assert ("alert" in one) != ("record" in one)
            assert isinstance(one["expr"], str | int)
            assert DURATION.fullmatch(one.get("for", "0"))
            assert DURATION.fullmatch(one.get("keep_firing_for", "0"))
            for texts in (one.get("labels", {}), one.get("annotations", {})):
                assert all(isinstance(text, str) for text in texts.values())


def test_every_dashboard_is_in_a_config_map_that_the_sidecar_finds_and_kubectl_can_apply(objects):
    maps = {
        name: one
        for (kind, name), one in objects.items()
        if kind == "ConfigMap" and "grafana_dashboard" in one["metadata"].get("labels", {})
    }
    files = sorted((ROOT / "grafana/dashboards").glob("*.json"))
    assert files
    assert sorted(key for one in maps.values() for key in one["data"]) == [f.name for f in files]
    for one in maps.values():
        # `kubectl apply` keeps the whole object in an annotation, which has this limit.
        assert len(json.dumps(one)) < 262144
