"""Chart.yaml, values.yaml and the chart's README."""

from __future__ import annotations

import json
from itertools import groupby
from textwrap import indent, wrap

from exporter import __version__
from tools.helm.values import VALUES, Value
from tools.kubernetes import NAME, dump

OLDEST_KUBERNETES = "1.29"

_MADE = "# Made by `make generate` from {source}.\n"
_WIDTH = 100

_README = """\
# Helm chart of media-usage-exporter

<!-- Made by `make generate` from tools/helm. -->

The exporter with its ledger, by the same manifests as
[deploy/kubernetes](../../kubernetes/base/statefulset.yaml). It needs Kubernetes {kubernetes} or newer
and Helm 3.

## Install

Build the [image](../../../docs/install.md#container) and push it to your registry. Put each
vendor's credential into a Secret, one key for each:

```console
kubectl create secret generic media-usage-exporter-credentials --from-file=millicast=./millicast
```

Write `values.yaml`; whatever `config.yaml` may hold stands under `config`:

```yaml
image:
  repository: images.example/media-usage-exporter
config:
  accounts:
    - name: studio-eu
      provider: millicast
      credentials_file: /run/secrets/media-usage-exporter/millicast
serviceMonitor:
  enabled: true
  labels: {{release: kube-prometheus-stack}}
prometheusRule:
  enabled: true
  labels: {{release: kube-prometheus-stack}}
dashboards:
  enabled: true
```

```console
helm install media-usage-exporter ./deploy/helm/media-usage-exporter --values values.yaml
helm test media-usage-exporter
```

Helm refuses a wrong value, in `config` too, and says where it is. What the schema cannot know, such as
the greatest duration that a key may have, the exporter says in its log when it starts;
`media-usage-exporter check-config` says it beforehand.

The NetworkPolicy lets Prometheus in from the namespace `monitoring`, and the exporter out to port 443
outside of private networks. Change `networkPolicy` where your Prometheus or your proxy lives elsewhere.

## Configuration, credentials, passwords

A change of `config` gives the pod another annotation, and so replaces it; the ledger stays. A Secret
may change at any time: the exporter reads credentials, web configuration and certificates again when
their files have changed, a minute or two later. Variables of `credentials.env` need a restart
(`kubectl rollout restart`).

For TLS and passwords put `web.yml` into a Secret and name it in `webConfig.existingSecret`. With a
certificate of cert-manager in `webConfig.tlsSecret` that file is

```yaml
tls_server_config:
  cert_file: tls.crt
  key_file: tls.key
```

Prometheus then needs `serviceMonitor.endpoint`, for instance
`tlsConfig: {{ca: {{secret: {{name: …, key: ca.crt}}}}, serverName: …}}` and `basicAuth`.

## One ledger, one replica

Without `config.ledger.url` the ledger is a file on a volume, and has one writer: the chart makes a
StatefulSet of one pod and refuses more `replicas`. Where the file is comes from the image, so
`config.ledger.path` has no effect. The volume of a StatefulSet outlives `helm uninstall`; delete the
claim `ledger-media-usage-exporter-0` by hand, or keep it, and the next installation goes on with it.
Kubernetes lets no upgrade change `persistence`; `kubectl delete statefulset --cascade=orphan` before it
does, and keeps pod and volume.

With `config.ledger.url` replicas share a database: the chart makes a Deployment without a volume. At an
update a new pod is ready before an old one goes, and a PodDisruptionBudget keeps nodes from taking more
than one away at a time. The NetworkPolicy then also opens `networkPolicy.databasePort`, and the
ServiceMonitor gives accounts' series one `instance` and no `pod`, so that they go on when another replica
takes an account over.

## Values

| value | default | |
|---|---|---|
"""


def chart() -> str:
    """Chart.yaml."""
    return _MADE.format(source="tools/helm/texts.py") + dump(
        {
            "apiVersion": "v2",
            "name": NAME,
            "description": "Prometheus exporter for the usage of live video and media processing"
            " vendors",
            "type": "application",
            "version": __version__,
            "appVersion": __version__,
            "kubeVersion": f">={OLDEST_KUBERNETES}.0-0",
            "keywords": ["prometheus", "exporter", "video", "streaming", "usage"],
            "home": f"https://github.com/{NAME}/{NAME}",
            "sources": [f"https://github.com/{NAME}/{NAME}"],
            "maintainers": [{"name": f"The {NAME} maintainers"}],
        }
    )


def values() -> str:
    """values.yaml: every value with its default, and what it is for above it."""
    parts = [_MADE.format(source="tools/helm/values.py")]
    for group, members in groupby(VALUES, key=_group):
        lines = "".join(f"{_comment(value)}{_entry(value)}" for value in members)
        if group:
            parts.append(f"\n{group}:\n{indent(lines, '  ')}")
        else:
            parts.append(f"\n{lines}")
    return "".join(parts)


def readme() -> str:
    """The chart's README, with a table of all values."""
    return _README.format(kubernetes=OLDEST_KUBERNETES) + "".join(map(_row, VALUES))


def _group(value: Value) -> str:
    return value.key.rpartition(".")[0]


def _comment(value: Value) -> str:
    return "".join(f"# {line}\n" for line in wrap(value.help, _WIDTH, break_on_hyphens=False))


def _entry(value: Value) -> str:
    return dump({value.key.rpartition(".")[2]: value.default})


def _row(value: Value) -> str:
    default = json.dumps(value.default, ensure_ascii=False)
    short = f"`{default}`" if len(default) <= 40 else "see values.yaml"
    return f"| `{value.key}` | {short} | {value.help} |\n"
