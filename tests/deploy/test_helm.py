"""The chart: the kustomize base's objects, by the API's own schemas, out of values that are held."""

import json
import re
import shutil
import tarfile
import warnings
from datetime import date
from functools import cache

import pytest
import yaml

import exporter
from exporter import providers
from exporter.config import load
from tests.deploy import helm, kustomize, relabelling
from tests.deploy.configurations import credential_files, credential_variables
from tests.deploy.helm import CHART, Refused
from tools.helm.values import CONFIG, VALUES, defaults

pytestmark = pytest.mark.sockets

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import kubernetes_validate

ROOT = helm.ROOT
NAME = "media-usage-exporter"
CASES = sorted((CHART / "ci").glob("*.yaml"))
EVERYTHING = CHART / "ci/everything-values.yaml"
REPLICAS = CHART / "ci/replicas-values.yaml"
CERTIFICATES = CHART / "ci/client-certificates-values.yaml"
SUPPORTED_VERSIONS = [helm.KUBERNETES, kubernetes_validate.latest_version()]

each_case = pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)


def keyed(manifests):
    manifests = list(manifests)
    found = {(one["kind"], one["metadata"]["name"]): one for one in manifests}
    assert len(found) == len(manifests)
    return found


def workload(manifests):
    (one,) = (one for one in manifests if one["kind"] in ("Deployment", "StatefulSet"))
    return one


def pod(manifests):
    return workload(manifests)["spec"]["template"]["spec"]


def container(manifests):
    (one,) = pod(manifests)["containers"]
    return one


def one_of(manifests, kind):
    (one,) = (one for one in manifests if one["kind"] == kind)
    return one


def configuration(manifests):
    """The text of config.yaml."""
    name = next(one for one in pod(manifests)["volumes"] if one["name"] == "config")
    return keyed(manifests)["ConfigMap", name["configMap"]["name"]]["data"]["config.yaml"]


def nested(values, key):
    """The value of a dotted key, None where it is not given."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


# What Helm and the API take


@each_case
def test_helm_finds_nothing_to_complain_of(case):
    done = helm.run("lint", "--strict", f"--values={case}", CHART)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout


@each_case
@pytest.mark.parametrize("version", SUPPORTED_VERSIONS)
def test_every_object_of_kubernetes_own_is_valid_and_has_no_unknown_field(case, version):
    manifests = helm.render(case, kubernetes=version)
    assert manifests
    for one in manifests:
        if not one["apiVersion"].startswith("monitoring.coreos.com/"):
            kubernetes_validate.validate(one, version, strict=True)


def test_an_older_kubernetes_is_refused():
    with pytest.raises(Refused, match=r"incompatible with Kubernetes v1\.28"):
        helm.render(kubernetes="1.28")


def test_the_chart_is_of_the_exporters_version():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    assert chart["appVersion"] == chart["version"] == exporter.__version__


def test_a_package_holds_rules_and_dashboards_and_fits_into_the_secret_of_a_release(tmp_path):
    done = helm.run("package", CHART, f"--destination={tmp_path}")
    assert done.returncode == 0, done.stderr
    (package,) = tmp_path.iterdir()
    with tarfile.open(package) as archive:
        names = {name.removeprefix(f"{NAME}/") for name in archive.getnames()}
    shipped = [*ROOT.glob("deploy/prometheus/rules/*.yml"), *ROOT.glob("grafana/dashboards/*.json")]
    assert len(shipped) > 2
    assert {f"{path.parent.name}/{path.name}" for path in shipped} <= names
    assert {"Chart.yaml", "README.md", "values.schema.json", "values.yaml"} <= names
    assert not [name for name in names if name.startswith("ci/")]
    # Helm keeps the chart with all that it renders in one Secret, of at most a megabyte.
    assert package.stat().st_size < 300_000


# One definition of the deployment


def in_substance(manifest):
    """A manifest without what only tells releases and charts apart."""
    ours = {"app.kubernetes.io/name": NAME}
    text = json.dumps(manifest)
    for label in (
        f'"app.kubernetes.io/instance": "{NAME}"',
        f'"app.kubernetes.io/version": "{exporter.__version__}"',
        '"app.kubernetes.io/managed-by": "Helm"',
        f'"helm.sh/chart": "{NAME}-{exporter.__version__}"',
    ):
        text = text.replace(f", {label}", "")
    one = json.loads(text)
    assert one["metadata"].pop("namespace", "default") == "default"
    assert one["metadata"]["labels"].items() >= ours.items()
    if one["kind"] in ("Deployment", "StatefulSet"):
        template = one["spec"]["template"]
        template["metadata"].pop("annotations", None)
        (only,) = template["spec"]["containers"]
        only["image"] = only["image"].removesuffix(f":{exporter.__version__}")
        assert only.pop("imagePullPolicy", "IfNotPresent") == "IfNotPresent"
    if one["kind"] == "NetworkPolicy":
        peers = one["spec"]["ingress"][0]["from"]
        peers[:] = [peer for peer in peers if peer != HELM_TEST]
    if one["kind"] == "ConfigMap" and "config.yaml" in one["data"]:
        one["data"]["config.yaml"] = yaml.safe_load(one["data"]["config.yaml"])
    return one


HELM_TEST = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": f"{NAME}-test"}}}


def test_the_chart_as_it_is_makes_the_objects_of_the_kustomize_base():
    theirs = keyed(in_substance(one) for one in helm.render() if one["kind"] != "Pod")
    ours = keyed(map(in_substance, kustomize.render(ROOT / "deploy/kubernetes/base")))
    assert theirs == ours


def test_what_is_for_the_operator_and_for_grafana_is_that_of_the_components():
    switches = ("serviceMonitor", "prometheusRule", "dashboards")
    values = {f"{name}.enabled": True for name in switches}
    rendered = helm.render(values=values)
    theirs = keyed(in_substance(one) for one in rendered if one["kind"] != "Pod")
    example = keyed(kustomize.render(ROOT / "deploy/kubernetes/example"))
    wanted = {
        key: one
        for key, one in example.items()
        if key[0] in ("ServiceMonitor", "PrometheusRule") or "-dashboard-" in key[1]
    }
    assert len(wanted) > 3
    for key, one in wanted.items():
        one["metadata"].pop("namespace", None)
        if key[0] == "PrometheusRule":  # the order of keys and the folding of texts do not matter
            assert theirs[key]["spec"] == one["spec"]
        assert theirs[key] == one


def test_with_a_shared_ledger_the_chart_makes_the_objects_of_the_replicas_component():
    example = keyed(kustomize.render(ROOT / "deploy/kubernetes/example-replicas"))
    deployment = example["Deployment", NAME]["spec"]
    values = {
        "replicas": deployment["replicas"],
        "config.ledger.url": "postgresql://usage@media-usage-ledger/usage",
        "serviceMonitor.enabled": True,
        "image.repository": f"images.example/{NAME}",
        "topologySpreadConstraints": deployment["template"]["spec"]["topologySpreadConstraints"],
    }
    theirs = keyed(in_substance(one) for one in helm.render(values=values) if one["kind"] != "Pod")
    for kind in ("Deployment", "PodDisruptionBudget", "NetworkPolicy", "ServiceMonitor", "Service"):
        wanted = example[kind, NAME]
        wanted["metadata"].pop("namespace")
        assert theirs[kind, NAME] == in_substance(wanted)


def endpoint(values):
    (only,) = one_of(helm.render(values=values), "ServiceMonitor")["spec"]["endpoints"]
    return only


@pytest.mark.parametrize("count", [1, 3])
def test_series_of_a_shared_ledger_are_relabelled_as_prometheus_does_before_your_own_rules(count):
    own = {"action": "drop", "sourceLabels": ["__name__"], "regex": "python_.*"}
    shared = {
        "serviceMonitor.enabled": True,
        "replicas": count,
        "config.ledger.url": "postgresql://usage@db.example.com/usage",
    }
    plain = endpoint(shared)
    assert plain["metricRelabelings"] == relabelling.for_operator()
    more = endpoint(
        {**shared, "serviceMonitor.endpoint": {"metricRelabelings": [own], "path": "/m"}}
    )
    assert more == {**plain, "path": "/m", "metricRelabelings": [*plain["metricRelabelings"], own]}


def test_series_of_one_exporter_keep_the_instance_of_its_pod():
    assert "metricRelabelings" not in endpoint({"serviceMonitor.enabled": True})
    own = [{"action": "labeldrop", "regex": "pod"}]
    given = {"serviceMonitor.enabled": True, "serviceMonitor.endpoint": {"metricRelabelings": own}}
    assert endpoint(given)["metricRelabelings"] == own


# The configuration


def as_given(values):
    """Values as the exporter reads them out of the chart: a day is text there."""
    if isinstance(values, dict):
        return {key: as_given(value) for key, value in values.items()}
    if isinstance(values, list):
        return [as_given(value) for value in values]
    return values.isoformat() if isinstance(values, date) else values


@each_case
def test_a_configuration_arrives_as_it_was_written(case):
    given = {**defaults()[CONFIG], **yaml.safe_load(case.read_text("utf-8")).get(CONFIG, {})}
    assert yaml.safe_load(configuration(helm.render(case))) == as_given(given)


@each_case
def test_a_configuration_is_one_that_the_exporter_takes_and_its_credentials_are_there(
    case, tmp_path
):
    manifests = helm.render(case)
    (tmp_path / "config.yaml").write_text(configuration(manifests))

    mounts = {one["mountPath"] for one in container(manifests)["volumeMounts"]}
    folders = {str(file.parent) for file in credential_files(tmp_path / "config.yaml")}
    assert folders <= mounts
    variables = {one["name"] for one in container(manifests).get("env", ())}
    assert credential_variables(tmp_path / "config.yaml") <= variables


def test_numbers_that_yaml_would_write_with_an_exponent_are_written_out(tmp_path):
    text = configuration(helm.render(EVERYTHING))
    (tmp_path / "config.yaml").write_text(text)
    (account,) = (
        one for one in load(tmp_path / "config.yaml", providers.load()).accounts if one.name == "no"
    )
    (terms,) = account.contracts
    assert str(terms.budget) == "1234567.5"
    assert str(terms.commitment) == "1000000"
    metered = terms.charges[0].metered
    assert metered
    prices = [f"{tier.price:f}" for tier in metered.tiers]
    assert prices == ["0.00001", "0.000000000001"]


def test_a_changed_configuration_is_a_changed_pod_and_a_changed_label_of_a_monitor_is_not():
    def template(values):
        return workload(helm.render(values=values))["spec"]["template"]

    assert template({}) == template({"serviceMonitor.labels": {"release": "x"}})
    assert template({}) != template({"config.polling": {"cadence": "30m"}})


# One ledger, one writer


@pytest.mark.parametrize("ledger", [None, {}, {"retention": "800d"}])
def test_a_second_replica_without_a_shared_ledger_is_refused(ledger):
    with pytest.raises(Refused) as refused:
        helm.render(values={"replicas": 2, "config.ledger": ledger})
    said = str(refused.value)
    assert "replicas is 2, but config.ledger.url is not set" in said
    assert "Set config.ledger.url to a database that replicas share, or replicas to 1." in said


def test_replicas_that_share_a_ledger_have_no_volume_and_one_is_always_ready():
    manifests = helm.render(REPLICAS)
    deployment = one_of(manifests, "Deployment")
    assert deployment["spec"]["replicas"] == 3
    assert deployment["spec"]["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
    }
    assert {one["name"] for one in pod(manifests)["volumes"]} == {"config", "credentials", "tmp"}
    budget = one_of(manifests, "PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 2
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert budget["selector"]["matchLabels"].items() <= labels.items()
    assert not [one for one in manifests if one["kind"] == "PersistentVolumeClaim"]


def test_but_for_its_volume_a_replica_is_the_pod_that_a_ledger_of_its_own_would_have():
    config = {"accounts": [{"name": "a", "provider": "livepeer", "credentials_env": "KEY"}]}
    shared = {**config, "ledger": {"url": "postgresql://usage@db.example.com/usage"}}
    alone = container(helm.render(values={"config": config}))
    replica = container(helm.render(values={"config": shared}))
    alone["volumeMounts"] = [one for one in alone["volumeMounts"] if one["name"] != "ledger"]
    assert replica == alone


def test_one_pod_has_no_disruption_budget_which_would_keep_its_node_from_being_drained():
    assert not [one for one in helm.render() if one["kind"] == "PodDisruptionBudget"]


def test_the_way_to_the_database_is_open_where_there_is_one():
    def ports(*files):
        egress = one_of(helm.render(*files), "NetworkPolicy")["spec"]["egress"]
        return {port["port"]: rule.get("to") for rule in egress for port in rule["ports"]}

    assert ports(REPLICAS)[6432] == [{"ipBlock": {"cidr": "10.1.2.0/24"}}]
    assert ports().keys() == {53, 443}


def test_a_claim_that_is_there_already_is_mounted_and_no_other_is_made():
    manifests = helm.render(CHART / "ci/existing-claim-values.yaml")
    stateful = one_of(manifests, "StatefulSet")
    assert "volumeClaimTemplates" not in stateful["spec"]
    (ledger,) = (one for one in pod(manifests)["volumes"] if one["name"] == "ledger")
    assert ledger["persistentVolumeClaim"] == {"claimName": "ledger-of-old"}


def test_a_storage_class_of_a_dash_is_none_and_an_empty_one_is_the_clusters():
    def claim(storage_class):
        manifests = helm.render(values={"persistence.storageClass": storage_class})
        return one_of(manifests, "StatefulSet")["spec"]["volumeClaimTemplates"][0]["spec"]

    assert claim("-")["storageClassName"] == ""
    assert "storageClassName" not in claim("")


# What refers to what


@each_case
def test_what_is_referred_to_exists(case):
    manifests = helm.render(case)
    found = keyed(manifests)
    claims = workload(manifests)["spec"].get("volumeClaimTemplates", ())
    there = {one["name"] for one in pod(manifests)["volumes"]}
    there |= {one["metadata"]["name"] for one in claims}
    assert {one["name"] for one in container(manifests)["volumeMounts"]} == there
    account = pod(manifests)["serviceAccountName"]
    assert account == "default" or ("ServiceAccount", account) in found
    service = one_of(manifests, "Service")
    labels = workload(manifests)["spec"]["template"]["metadata"]["labels"].items()
    selectors = [
        workload(manifests)["spec"]["selector"]["matchLabels"],
        service["spec"]["selector"],
        *(
            one["spec"]["podSelector"]["matchLabels"]
            for one in manifests
            if one["kind"] == "NetworkPolicy"
        ),
    ]
    for selector in selectors:
        assert selector
        assert selector.items() <= labels
    for one in manifests:
        if one["kind"] == "ServiceMonitor":
            assert one["spec"]["selector"]["matchLabels"].items() <= (
                service["metadata"]["labels"].items()
            )


@each_case
def test_two_releases_in_one_namespace_are_told_apart(case):
    override = {"fullnameOverride": ""}
    one, other = (helm.render(case, release=name, values=override) for name in ("first", "second"))
    shared = keyed(one).keys() & keyed(other).keys()
    # Only an account that both were told to use has the same name.
    assert {kind for kind, _ in shared} <= {"ServiceAccount"}
    assert not (
        one_of(other, "Service")["spec"]["selector"].items()
        <= workload(one)["spec"]["template"]["metadata"]["labels"].items()
    )


def test_the_job_is_the_one_that_alerts_look_for_whatever_the_release_is_called():
    manifests = helm.render(EVERYTHING, release="something-else")
    monitor = one_of(manifests, "ServiceMonitor")["spec"]
    assert one_of(manifests, "Service")["metadata"]["labels"][monitor["jobLabel"]] == NAME


@pytest.mark.parametrize("length", [53, 20])
def test_a_long_name_of_a_release_leaves_room_for_what_kubernetes_appends(length):
    manifests = helm.render(release="r" * length)
    stateful = one_of(manifests, "StatefulSet")["metadata"]["name"]
    # A label of its pods is this name, a hyphen and ten characters; 63 are allowed.
    assert len(stateful) <= 52
    assert stateful.startswith("r" * length if length < 52 else "r" * 52)


# TLS and passwords


def test_a_web_configuration_lies_beside_the_certificate_that_it_names():
    manifests = helm.render(EVERYTHING)
    (mount,) = (one for one in container(manifests)["volumeMounts"] if one["name"] == "web-config")
    (volume,) = (one for one in pod(manifests)["volumes"] if one["name"] == "web-config")
    assert volume["projected"]["sources"] == [
        {"secret": {"name": "media-usage-exporter-web"}},
        {"secret": {"name": "media-usage-exporter-tls"}},
    ]
    flag = f"--web.config.file={mount['mountPath']}/web-config.yml"
    assert flag in container(manifests)["args"]
    (tester,) = one_of(manifests, "Pod")["spec"]["containers"]
    assert flag in tester["args"]
    assert mount in tester["volumeMounts"]


def test_probes_and_scrapes_speak_tls_where_the_exporter_does():
    plain, secure = helm.render(values={"serviceMonitor.enabled": True}), helm.render(EVERYTHING)
    probes = ("startupProbe", "livenessProbe", "readinessProbe")
    for probe in probes:
        assert container(secure)[probe]["httpGet"]["scheme"] == "HTTPS"
        assert "scheme" not in container(plain)[probe]["httpGet"]
    (endpoint,) = one_of(secure, "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["scheme"] == "https"
    (endpoint,) = one_of(plain, "ServiceMonitor")["spec"]["endpoints"]
    assert "scheme" not in endpoint


def test_where_clients_need_certificates_probes_only_connect_and_nothing_is_tested():
    manifests = helm.render(CERTIFICATES)
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container(manifests)[probe]["tcpSocket"] == {"port": "http"}
        assert "httpGet" not in container(manifests)[probe]
    assert not [one for one in manifests if one["kind"] == "Pod"]


# helm test


def test_helm_test_asks_the_service_and_the_network_policy_lets_it():
    manifests = helm.render()
    tester = one_of(manifests, "Pod")
    service = one_of(manifests, "Service")
    assert tester["metadata"]["annotations"]["helm.sh/hook"] == "test"
    (only,) = tester["spec"]["containers"]
    (port,) = service["spec"]["ports"]
    address = f"{service['metadata']['name']}.{service['metadata']['namespace']}:{port['port']}"
    assert only["args"] == ["healthcheck", f"--web.listen-address={address}"]
    assert only["image"] == container(manifests)["image"]
    assert only["securityContext"] == container(manifests)["securityContext"]
    assert tester["spec"]["securityContext"] == pod(manifests)["securityContext"]
    assert tester["spec"]["automountServiceAccountToken"] is False
    labels = tester["metadata"]["labels"].items()
    peers = one_of(manifests, "NetworkPolicy")["spec"]["ingress"][0]["from"]
    assert any(
        one["podSelector"]["matchLabels"].items() <= labels for one in peers if "podSelector" in one
    )
    # Else scrapes would go to it, too.
    assert not service["spec"]["selector"].items() <= labels


def test_helm_test_runs_where_the_exporter_may_run():
    manifests = helm.render(EVERYTHING)
    tester = one_of(manifests, "Pod")["spec"]
    for key in ("imagePullSecrets", "nodeSelector", "serviceAccountName", "tolerations"):
        assert tester[key] == pod(manifests)[key]


# The image, the rules, the dashboards


@pytest.mark.parametrize(
    ("values", "image"),
    [
        ({}, f"{NAME}:{exporter.__version__}"),
        ({"image.tag": "1.2"}, f"{NAME}:1.2"),
        ({"image.digest": "sha256:" + "a" * 64}, f"{NAME}@sha256:" + "a" * 64),
    ],
)
def test_an_image_is_named_by_version_tag_or_digest(values, image):
    assert container(helm.render(values=values))["image"] == image


def test_own_thresholds_take_the_place_of_the_shipped_ones_and_no_other_rule_changes():
    groups = {
        group["name"]: group["rules"]
        for group in one_of(helm.render(EVERYTHING), "PrometheusRule")["spec"]["groups"]
    }
    shipped = {
        group["name"]: group["rules"]
        for file in (ROOT / "deploy/prometheus/rules").glob("*.yml")
        for group in yaml.safe_load(file.read_text("utf-8"))["groups"]
    }
    own = [{"record": "media_threshold:job_failure_ratio", "expr": "vector(0.5)"}]
    thresholds = yaml.safe_load(
        (ROOT / "deploy/prometheus/rules/thresholds.yml").read_text("utf-8")
    )
    (name,) = (group["name"] for group in thresholds["groups"])
    assert groups == {**shipped, name: own}


def test_dashboards_carry_what_the_sidecar_looks_for_and_are_the_shipped_ones_to_the_letter():
    maps = [
        one
        for one in helm.render(EVERYTHING)
        if one["kind"] == "ConfigMap" and "config.yaml" not in one["data"]
    ]
    found: dict[str, str] = {}
    for one in maps:
        assert one["metadata"]["namespace"] == "grafana"
        assert one["metadata"]["labels"]["dashboards"] == "usage"
        assert one["metadata"]["annotations"] == {"grafana_folder": "Media usage"}
        found |= one["data"]
    shipped = ROOT.glob("grafana/dashboards/*.json")
    assert found == {path.name: path.read_text("utf-8") for path in shipped}


# Values


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.key)
def test_a_value_that_a_case_sets_changes_what_is_rendered(value, tmp_path):
    values = {case: yaml.safe_load(case.read_text("utf-8")) for case in CASES}
    case = next(case for case in CASES if nested(values[case], value.key) is not None)
    group, _, key = value.key.rpartition(".")
    del (values[case][group] if group else values[case])[key]
    (tmp_path / "without.yaml").write_text(yaml.safe_dump(values[case]))
    try:
        without = installed(tmp_path / "without.yaml")
    except Refused as refused:
        without = [str(refused)]
    # Without it others may make no sense, which a template says.
    assert without != as_it_is(case)
    assert not any("specifications of the schema" in one for one in without)


def installed(case):
    """What is rendered but for the pod of `helm test`, which is much like the others."""
    documents = helm.text(case).split("\n---\n")
    return [one for one in documents if f"# Source: {NAME}/templates/tests/" not in one]


as_it_is = cache(installed)


def test_values_yaml_holds_the_defaults():
    assert yaml.safe_load((CHART / "values.yaml").read_text("utf-8")) == defaults()


def test_values_yaml_explains_each_value_above_it():
    lines = (CHART / "values.yaml").read_text("utf-8").splitlines()
    for value in VALUES:
        key = value.key.rpartition(".")[2]
        indented = "  " if "." in value.key else ""
        places = [n for n, line in enumerate(lines) if line.startswith(f"{indented}{key}:")]
        assert places, value.key
        for place in places:
            assert lines[place - 1].startswith(f"{indented}# "), lines[place]


def test_the_readme_lists_each_value():
    text = (CHART / "README.md").read_text("utf-8")
    assert re.findall(r"^\| `([\w.]+)` \|", text, re.MULTILINE) == [one.key for one in VALUES]


@pytest.mark.parametrize("page", [CHART / "README.md"], ids=lambda path: path.name)
def test_every_link_of_the_readme_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


def test_the_example_in_the_readme_is_taken(tmp_path):
    text = (CHART / "README.md").read_text("utf-8")
    (example,) = re.findall(r"```yaml\n(image:\n.*?)```", text, re.DOTALL)
    (tmp_path / "values.yaml").write_text(example)
    manifests = helm.render(tmp_path / "values.yaml")
    assert {"ServiceMonitor", "PrometheusRule"} <= {one["kind"] for one in manifests}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"replcas": 3}, "additional properties 'replcas' not allowed"),
        ({"replicas": 0}, "at '/replicas': minimum: got 0, want 1"),
        ({"replicas": "2"}, "at '/replicas': got string, want integer"),
        ({"image.pullPolicy": "Sometimes"}, "at '/image/pullPolicy': value must be one of"),
        ({"image.digest": "sha256:12"}, "at '/image/digest': 'sha256:12' does not match pattern"),
        ({"image.tags": "1"}, "at '/image': additional properties 'tags' not allowed"),
        ({"persistence.size": "2 GB"}, "at '/persistence/size': '2 GB' does not match pattern"),
        ({"serviceMonitor.interval": 60}, "at '/serviceMonitor/interval': got number, want string"),
        (
            {"credentials.env": {"A-B": "key"}},
            "at '/credentials/env': additional properties 'A-B' not allowed",
        ),
        ({"config.accounts": []}, "at '/config/accounts': minItems: got 0, want 1"),
        ({"config.polling.cadence": 15}, "at '/config/polling/cadence': got number, want string"),
        (
            {"config.polling.cadence": ""},
            "at '/config/polling/cadence': minLength: got 0, want 1",
        ),
        (
            {"config.polling.cadnce": "15m"},
            "at '/config/polling': additional properties 'cadnce' not allowed",
        ),
        (
            {"config.accounts[0].provider": "milicast"},
            "at '/config/accounts/0/provider': value must be one of 'dolby_media', 'livepeer'",
        ),
        (
            {"config.accounts": [{"name": "a", "provider": "millicast"}]},
            "at '/config/accounts/0': missing property 'credentials_file'",
        ),
        (
            {"config.ledger.url": "mysql://db/usage"},
            "at '/config/ledger/url': 'mysql://db/usage' does not match pattern",
        ),
        (
            {"config.ledger.url": "postgresql://db/usage?password=secret"},
            "at '/config/ledger/url': 'not' failed",
        ),
        (
            {"webConfig.tlsSecret": "tls"},
            "webConfig.tlsSecret, https or clientCertificates is set, but"
            " webConfig.existingSecret is not",
        ),
        (
            {"credentials.existingSecret": "", "credentials.env": {"KEY": "key"}},
            "credentials.env is set, but credentials.existingSecret is not",
        ),
    ],
    ids=lambda one: next(iter(one)) if isinstance(one, dict) else "",
)
def test_a_wrong_value_is_refused_and_the_message_says_where_it_is(values, said):
    with pytest.raises(Refused) as refused:
        helm.render(values=values)
    assert said in str(refused.value)


def test_a_chart_that_another_depends_on_takes_what_helm_gives_it():
    assert helm.render(values={"global": {"registry": "x"}}) == helm.render()


# What is said after an installation


def notes(tmp_path, *files):
    """NOTES.txt, which Helm shows of no chart that it only renders: here, it is in an object."""
    copy = tmp_path / NAME
    if not copy.exists():
        shutil.copytree(CHART, copy)
        text = (copy / "templates/NOTES.txt").read_text("utf-8")
        (copy / "templates/notes.yaml").write_text(
            '{{ define "notes" }}' + text + "{{ end }}kind: Notes\nmetadata: {name: notes}\n"
            'text: {{ include "notes" . | quote }}\n'
        )
    return one_of(helm.render(*files, chart=copy), "Notes")["text"]


def test_notes_name_the_keys_that_the_secret_needs_and_how_to_ask_the_exporter(tmp_path):
    said = notes(tmp_path)
    assert said.startswith(f"{NAME} {exporter.__version__} polls studio (millicast).\n")
    assert "the Secret media-usage-exporter-credentials, which needs the keys\nmillicast." in said
    assert f"kubectl -n default port-forward service/{NAME} 10032\n    http://127" in said
    assert f"helm test -n default {NAME}\n" in said
    assert "No ServiceMonitor was made" in said
    assert "back it up" in said
    said = notes(tmp_path, EVERYTHING)
    assert " polls no (millicast), vod (wowza), processing (dolby_media).\n" in said
    assert "Secret vendors, which needs the keys\ndolby-key, millicast, mimir, wowza." in said
    assert "https://127.0.0.1:10032/" in said
    assert "Prometheus finds it by the ServiceMonitor usage" in said
    said = notes(tmp_path, REPLICAS)
    assert "needs the keys\nledger, livepeer." in said
    assert "back it up" not in said
    assert "helm test" not in notes(tmp_path, CERTIFICATES)
