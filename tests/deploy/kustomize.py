"""Just as much of kustomize as the files in deploy/kubernetes make use of.

Of a kustomization: resources, components, namespace, images and the generation of ConfigMaps from
files, without the hash that kustomize adds to their names. Any other field is an error. Where
kustomize itself is installed, a test compares the two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]

CLUSTER_WIDE = {"Namespace"}
KNOWN = {
    "apiVersion",
    "components",
    "configMapGenerator",
    "generatorOptions",
    "images",
    "kind",
    "namespace",
    "resources",
}


def render(folder: Path) -> list[Manifest]:
    """Every object that the kustomization in `folder` makes."""
    rules = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
    if unknown := rules.keys() - KNOWN:
        raise ValueError(f"{folder}: this rendering does not know {sorted(unknown)}")
    objects: list[Manifest] = []
    for name in (*rules.get("resources", ()), *rules.get("components", ())):
        path = folder / name
        objects += (
            render(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text("utf-8")))
        )
    for generator in rules.get("configMapGenerator", ()):
        made = _config_map(folder, generator, rules.get("generatorOptions", {}))
        if generator.get("behavior") == "replace":
            (old,) = (one for one in objects if _identity(one) == _identity(made))
            made["metadata"] = {**made["metadata"], **old["metadata"]}
            objects.remove(old)
        objects.append(made)
    for one in objects:
        if "namespace" in rules and one["kind"] not in CLUSTER_WIDE:
            one["metadata"]["namespace"] = rules["namespace"]
        for image in rules.get("images", ()):
            for container in _containers(one):
                if container["image"] == image["name"]:
                    container["image"] = f"{image['newName']}:{image['newTag']}"
    return objects


def _config_map(folder: Path, generator: Manifest, shared: Manifest) -> Manifest:
    labels = {**shared.get("labels", {}), **generator.get("options", {}).get("labels", {})}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": generator["name"], **({"labels": labels} if labels else {})},
        "data": {
            Path(name).name: (folder / name).read_text("utf-8") for name in generator["files"]
        },
    }


def _identity(one: Manifest) -> tuple[str, str]:
    return one["kind"], one["metadata"]["name"]


def _containers(one: Manifest) -> list[Manifest]:
    spec = one.get("spec", {}).get("template", {}).get("spec", {})
    return [*spec.get("containers", ()), *spec.get("initContainers", ())]
