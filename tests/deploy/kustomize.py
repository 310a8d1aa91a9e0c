"""Just as much of kustomize as the files in deploy/kubernetes make use of.

Of a kustomization: resources, components, namespace, images, JSON patches from files (add, remove,
replace, test), and the generation of ConfigMaps from files, without the hash that kustomize adds to
their names. A component's patches change what was listed before it. Any other field is an error.
Where kustomize itself is installed, a test compares the two.
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
    "patches",
    "resources",
}


def render(folder: Path) -> list[Manifest]:
    """Every object that the kustomization in `folder` makes."""
    return _render(folder, [])


def _render(folder: Path, before: list[Manifest]) -> list[Manifest]:
    """Those of `before`, changed if `folder` is a component that does so, and its own."""
    rules = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
    if unknown := rules.keys() - KNOWN:
        raise ValueError(f"{folder}: this rendering does not know {sorted(unknown)}")
    objects = list(before)
    for name in rules.get("resources", ()):
        path = folder / name
        objects += (
            render(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text("utf-8")))
        )
    for name in rules.get("components", ()):
        objects = _render(folder / name, objects)
    for patch in rules.get("patches", ()):
        operations = yaml.safe_load((folder / patch["path"]).read_text("utf-8"))
        for one in objects:
            if _identity(one) == (patch["target"]["kind"], patch["target"]["name"]):
                for operation in operations:
                    _change(one, operation)
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


def _change(one: Manifest, operation: Manifest) -> None:
    """One operation of RFC 6902; raises where the path leads nowhere."""
    *above, last = operation["path"].removeprefix("/").split("/")
    place: Any = one
    for step in above:
        place = place[int(step) if isinstance(place, list) else step]
    at = int(last) if isinstance(place, list) and last != "-" else last
    match operation["op"]:
        case "add" if last == "-":
            place.append(operation["value"])
        case "add" if isinstance(place, dict):
            place[at] = operation["value"]
        case "remove":
            del place[at]
        case "replace":
            place[at]  # has to be there
            place[at] = operation["value"]
        case "test":
            assert place[at] == operation["value"], operation
        case _:
            raise ValueError(f"this rendering does not know {operation}")


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
