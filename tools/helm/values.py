"""Every value of the chart: its default, what it may be, and what it is for.

Defaults that the manifests in deploy/kubernetes have, too, are read from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

Schema = Mapping[str, Any]

KUBERNETES: Final = Path(__file__).parents[2] / "deploy/kubernetes"


@dataclass(frozen=True, slots=True)
class Value:
    """One value. `key` is its path, parted by dots; `help` is Markdown, a sentence or more."""

    key: str
    default: Any
    schema: Schema
    help: str


def _manifest(name: str) -> Any:
    return yaml.safe_load((KUBERNETES / name).read_text("utf-8"))


_POD = _manifest("base/statefulset.yaml")["spec"]["template"]["spec"]
_CONTAINER = _POD["containers"][0]
_CLAIM = _manifest("base/statefulset.yaml")["spec"]["volumeClaimTemplates"][0]["spec"]
_CREDENTIALS = next(one for one in _POD["volumes"] if one["name"] == "credentials")
_POLICY = _manifest("base/networkpolicy.yaml")["spec"]
_ENDPOINT = _manifest("components/prometheus-operator/servicemonitor.yaml")["spec"]["endpoints"][0]

_TEXT: Schema = {"type": "string"}
_SWITCH: Schema = {"type": "boolean"}
_NAME: Schema = {"type": "string", "pattern": "^([a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_LABELS: Schema = {"type": "object", "additionalProperties": _TEXT}
_OBJECT: Schema = {"type": "object"}
_OBJECTS: Schema = {"type": "array", "items": _OBJECT}
_DURATION: Schema = {"type": "string", "pattern": "^([0-9]+(y|w|d|h|m|s|ms))+$"}
_QUANTITY: Schema = {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?([EPTGMk]|[EPTGMK]i)?$"}

CONFIG: Final = "config"
"""The value that the configuration's own schema judges."""

VALUES: Final = (
    Value(
        "replicas",
        1,
        {"type": "integer", "minimum": 1, "maximum": 100},
        "Pods. More than one needs a ledger that they share, `config.ledger.url`.",
    ),
    Value(
        "fullnameOverride",
        "",
        {**_NAME, "maxLength": 52},
        "The name of all objects, instead of the release's.",
    ),
    Value("image.repository", _CONTAINER["image"], {**_TEXT, "minLength": 1}, "The image."),
    Value("image.tag", "", _TEXT, "Its tag; the chart's `appVersion` unless given."),
    Value(
        "image.digest",
        "",
        {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
        "Its digest, which decides before the tag.",
    ),
    Value(
        "image.pullPolicy",
        "IfNotPresent",
        {"enum": ["Always", "IfNotPresent", "Never"]},
        "When it is pulled.",
    ),
    Value("image.pullSecrets", [], _OBJECTS, "Secrets for its registry: a list of `name: …`."),
    Value(
        CONFIG,
        _manifest("base/config.yaml"),
        {},
        "The content of `config.yaml`, see docs/configuration.md. A change replaces the pods.",
    ),
    Value(
        "credentials.existingSecret",
        _CREDENTIALS["secret"]["secretName"],
        _NAME,
        "A Secret whose keys become files in `/run/secrets/media-usage-exporter`, for the `…_file`"
        " keys of `config`; empty for none.",
    ),
    Value(
        "credentials.env",
        {},
        {
            "type": "object",
            "additionalProperties": False,
            "patternProperties": {"^[A-Za-z_][A-Za-z0-9_]*$": {**_TEXT, "minLength": 1}},
        },
        "Environment variables from the same Secret, each with its key there, for the `…_env` keys"
        " of `config`.",
    ),
    Value(
        "webConfig.existingSecret",
        "",
        _NAME,
        "A Secret with the web configuration (TLS, passwords) and the files that it names; see"
        " docs/web-configuration.md.",
    ),
    Value("webConfig.key", "web.yml", {**_TEXT, "minLength": 1}, "The web configuration's key."),
    Value(
        "webConfig.tlsSecret",
        "",
        _NAME,
        "A Secret of type `kubernetes.io/tls`, as cert-manager writes it. Its `tls.crt` and"
        " `tls.key` are put beside the web configuration, which has to name them.",
    ),
    Value(
        "webConfig.https",
        False,
        _SWITCH,
        "Whether the web configuration turns TLS on, so that probes and scrapes use it. A"
        " `tlsSecret` says the same.",
    ),
    Value(
        "webConfig.clientCertificates",
        False,
        _SWITCH,
        "Whether it demands certificates of clients. Probes then only try to connect, and there is"
        " no `helm test`.",
    ),
    Value(
        "persistence.size",
        _CLAIM["resources"]["requests"]["storage"],
        _QUANTITY,
        "Size of the ledger's volume. It cannot be changed by an upgrade.",
    ),
    Value(
        "persistence.storageClass",
        "",
        _TEXT,
        "Its class; the cluster's default unless given, `-` for none. It has to be a disk of one"
        " machine: SQLite does not work on network file systems.",
    ),
    Value("persistence.accessModes", _CLAIM["accessModes"], _TEXTS, "Its access modes."),
    Value("persistence.annotations", {}, _LABELS, "Annotations of the claim."),
    Value(
        "persistence.existingClaim",
        "",
        _NAME,
        "A claim that is there already, instead of a new one.",
    ),
    Value("service.annotations", {}, _LABELS, "Annotations of the Service."),
    Value(
        "serviceAccount.create", True, _SWITCH, "Whether a ServiceAccount without rights is made."
    ),
    Value(
        "serviceAccount.name",
        "",
        _NAME,
        "Its name, or that of the one to use; empty for the release's.",
    ),
    Value("serviceAccount.annotations", {}, _LABELS, "Its annotations."),
    Value(
        "networkPolicy.enabled",
        True,
        _SWITCH,
        "Whether the pods' traffic is limited to what follows.",
    ),
    Value(
        "networkPolicy.prometheus",
        _POLICY["ingress"][0]["from"],
        _OBJECTS,
        "Who may scrape: peers.",
    ),
    Value("networkPolicy.dns", _POLICY["egress"][0]["to"], _OBJECTS, "Who resolves names: peers."),
    Value(
        "networkPolicy.vendors",
        _POLICY["egress"][1]["to"],
        _OBJECTS,
        "Where vendors may be, on port 443: peers. Their addresses change; what is certain is that"
        " they are in no private network.",
    ),
    Value(
        "networkPolicy.database",
        [],
        _OBJECTS,
        "Where the database of `config.ledger.url` may be: peers; empty for anywhere.",
    ),
    Value(
        "networkPolicy.databasePort",
        5432,
        {"type": "integer", "minimum": 1, "maximum": 65535},
        "The database's port.",
    ),
    Value(
        "networkPolicy.extraEgress",
        [],
        _OBJECTS,
        "More rules for traffic out, such as to a proxy or to a receiver of remote write.",
    ),
    Value(
        "podDisruptionBudget.enabled",
        True,
        _SWITCH,
        "Whether several replicas are protected from being evicted at once.",
    ),
    Value(
        "podDisruptionBudget.maxUnavailable",
        1,
        {"type": "integer", "minimum": 1},
        "How many may be evicted at a time.",
    ),
    Value(
        "serviceMonitor.enabled",
        False,
        _SWITCH,
        "Whether the Prometheus operator is told to scrape.",
    ),
    Value(
        "serviceMonitor.labels",
        {},
        _LABELS,
        "Labels that your Prometheus looks for, such as `release: kube-prometheus-stack`.",
    ),
    Value("serviceMonitor.interval", _ENDPOINT["interval"], _DURATION, "Time between two scrapes."),
    Value(
        "serviceMonitor.scrapeTimeout",
        _ENDPOINT["scrapeTimeout"],
        _DURATION,
        "Time that one may take.",
    ),
    Value(
        "serviceMonitor.endpoint",
        {},
        _OBJECT,
        "More fields of its endpoint, such as `basicAuth`, `tlsConfig` or `relabelings`. With replicas, a"
        " `metricRelabelings` follows the one that gives accounts' series a common `instance`.",
    ),
    Value(
        "prometheusRule.enabled",
        False,
        _SWITCH,
        "Whether the Prometheus operator gets the recording rules and alerts.",
    ),
    Value("prometheusRule.labels", {}, _LABELS, "As those of `serviceMonitor`."),
    Value(
        "prometheusRule.thresholds",
        [],
        _OBJECTS,
        "Rules instead of those of `rules/thresholds.yml`: copy them all, change what should differ.",
    ),
    Value(
        "dashboards.enabled",
        False,
        _SWITCH,
        "Whether the dashboards are put into ConfigMaps, for Grafana's sidecar.",
    ),
    Value("dashboards.labels", {"grafana_dashboard": "1"}, _LABELS, "Labels that it looks for."),
    Value(
        "dashboards.annotations",
        {},
        _LABELS,
        "Annotations for it, such as `grafana_folder: Media usage`.",
    ),
    Value(
        "dashboards.namespace", "", _NAME, "Where it looks; the release's namespace unless given."
    ),
    Value("resources", _CONTAINER["resources"], _OBJECT, "What a pod asks for and may use."),
    Value("podSecurityContext", _POD["securityContext"], _OBJECT, "The pod's security context."),
    Value(
        "securityContext",
        _CONTAINER["securityContext"],
        _OBJECT,
        "The container's security context.",
    ),
    Value(
        "extraArgs",
        [],
        _TEXTS,
        "More flags, such as `--log.format=json`; see docs/command-line.md.",
    ),
    Value("extraEnv", [], _OBJECTS, "More environment variables, such as `HTTPS_PROXY`."),
    Value("extraEnvFrom", [], _OBJECTS, "Secrets and ConfigMaps with more of them."),
    Value("extraVolumes", [], _OBJECTS, "More volumes."),
    Value("extraVolumeMounts", [], _OBJECTS, "Where they are mounted."),
    Value("podAnnotations", {}, _LABELS, "Annotations of the pods."),
    Value("podLabels", {}, _LABELS, "Labels of the pods."),
    Value("nodeSelector", {}, _LABELS, "Labels of the nodes to run on."),
    Value("tolerations", [], _OBJECTS, "Taints to bear."),
    Value("affinity", {}, _OBJECT, "Which nodes and pods to be near or far from."),
    Value("topologySpreadConstraints", [], _OBJECTS, "How replicas are spread."),
    Value("priorityClassName", "", _NAME, "The pods' priority."),
    Value(
        "terminationGracePeriodSeconds",
        _POD["terminationGracePeriodSeconds"],
        {"type": "integer", "minimum": 1},
        "Time to stop in.",
    ),
)


def defaults() -> dict[str, Any]:
    """The content of values.yaml."""
    nested: dict[str, Any] = {}
    for value in VALUES:
        group, _, key = value.key.rpartition(".")
        (nested.setdefault(group, {}) if group else nested)[key] = value.default
    return nested
