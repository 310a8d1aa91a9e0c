"""Kubernetes manifests that are made from the Prometheus rules and from the dashboards' files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import yaml

from tools.dashboards.generated import FILES as DASHBOARDS

ROOT = Path(__file__).parent.parent
NAME = "media-usage-exporter"

_BEFORE = "# Made by `make generate` from {source}.\n"


def rule_files() -> list[Path]:
    """Prometheus' rule files, in the order in which their groups are shipped."""
    return sorted((ROOT / "deploy/prometheus/rules").glob("*.yml"))


def prometheus_rule() -> str:
    """The groups of every rule file in one object of the Prometheus operator."""
    groups = [
        group
        for file in rule_files()
        for group in yaml.safe_load(file.read_text("utf-8"))["groups"]
    ]
    return _BEFORE.format(source="deploy/prometheus/rules") + dump(
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {"name": NAME, "labels": {"app.kubernetes.io/name": NAME}},
            "spec": {"groups": groups},
        }
    )


def dashboards() -> str:
    """A component with a ConfigMap for each dashboard, where Grafana's sidecar finds it.

    It stands beside the dashboards because kustomize reads no file outside a component's folder.
    """
    paths = sorted(Path(file).relative_to("grafana").as_posix() for file in DASHBOARDS)
    return _BEFORE.format(source="the list of dashboards") + dump(
        {
            "apiVersion": "kustomize.config.k8s.io/v1alpha1",
            "kind": "Component",
            "configMapGenerator": [
                {"name": f"{NAME}-dashboard-{Path(path).stem}", "files": [path]} for path in paths
            ],
            "generatorOptions": {
                "disableNameSuffixHash": True,
                "labels": {"app.kubernetes.io/name": NAME, "grafana_dashboard": "1"},
            },
        }
    )


FILES: Final[dict[str, Callable[[], str]]] = {
    "deploy/kubernetes/components/prometheus-operator/prometheusrule.yaml": prometheus_rule,
    "grafana/kustomization.yaml": dashboards,
}


class _Dumper(yaml.SafeDumper):
    """Lists set in, texts of several lines as they are, nothing aliased."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def dump(document: object) -> str:
    """The document as YAML, in the way of every manifest here."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
