"""The bill of materials of what is shipped, as CycloneDX 1.6.

``python -m tools.sbom FOLDER`` writes it. Versions and hashes are those of the locks; licences, and
who needs whom, are those that the distributions state, which the environment for development has in
the same versions.
"""

from __future__ import annotations

import argparse
import re
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    XsUri,
)
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.packages import LOCKS, NAME, ROOT, commit_time

_PIN = re.compile(
    r"^(?P<name>[\w.-]+)==(?P<version>[^\s;]+)(?: ; (?P<marker>[^\\\n]+))?"
    r"(?P<hashes>.*(?:\n    --hash.*)*)",
    re.M,
)


def text() -> str:
    """The bill of the shipped distributions as JSON; ValueError where it breaks the schema."""
    made = bill()
    written = JsonV1Dot6(made).output_as_string(indent=2) + "\n"
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(written)
    if error is not None:
        raise ValueError(f"not a bill of materials: {error}")
    return written


def bill() -> Bom:
    """The exporter and all that is in the image and in the packages besides Python itself."""
    extras = set(LOCKS) - {"runtime"}
    root = _component(NAME, metadata.version(NAME), ComponentType.APPLICATION)
    components = {NAME: root} | {
        name: _locked(name, version, hashes) for name, version, hashes in _pins()
    }
    made = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"{NAME}@{root.version}"))
    made.metadata.timestamp = datetime.fromtimestamp(int(commit_time()), UTC)
    made.metadata.component = root
    for name, component in components.items():
        if component is not root:
            made.components.add(component)
        needed = _needs(name, extras if component is root else set())
        made.register_dependency(
            component, [components[one] for one in needed if one in components]
        )
    return made


def _pins() -> Iterator[tuple[str, str, list[str]]]:
    """Name, version and hashes of each locked distribution, once."""
    found = {}
    for lock in LOCKS:
        for pin in _PIN.finditer((ROOT / f"requirements/{lock}.txt").read_text("utf-8")):
            if pin["marker"] and not Marker(pin["marker"]).evaluate():
                continue  # on other platforms only
            hashes = re.findall(r"sha256:([0-9a-f]{64})", pin["hashes"])
            found[canonicalize_name(pin["name"])] = (pin["version"], hashes)
    for name, (version, hashes) in sorted(found.items()):
        yield name, version, hashes


def _locked(name: str, version: str, hashes: list[str]) -> Component:
    component = _component(name, version, ComponentType.LIBRARY)
    assert component.purl is not None
    files = [HashType(alg=HashAlgorithm.SHA_256, content=one) for one in hashes]
    place = XsUri(component.purl.to_string())
    component.external_references.add(
        ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=place, hashes=files)
    )
    return component


def _component(name: str, version: str, kind: ComponentType) -> Component:
    purl = PackageURL("pypi", name=name, version=version)
    component = Component(
        name=name, version=version, type=kind, purl=purl, bom_ref=purl.to_string()
    )
    licence = _licence(name)
    if licence:
        component.licenses.add(LicenseFactory().make_from_string(licence))
    return component


def _licence(name: str) -> str:
    """What the distribution says of its licence: an expression, a word, or a classifier's name."""
    stated = metadata.metadata(name)
    words = stated["License-Expression"] or stated["License"] or ""
    if words and "\n" not in words:
        return words
    classifiers = stated.get_all("Classifier") or []
    licences = (one.split(" :: ")[-1] for one in classifiers if one.startswith("License :: "))
    return next((one for one in licences if one != "OSI Approved"), "")


def _needs(name: str, extras: set[str]) -> set[str]:
    """The distributions that `name` with these extras asks for on this platform."""
    needed: set[str] = set()
    for one in map(Requirement, metadata.requires(name) or ()):
        if one.marker is None or any(one.marker.evaluate({"extra": x}) for x in {"", *extras}):
            needed.add(canonicalize_name(one.name))
            if one.extras:
                needed |= _needs(one.name, one.extras)
    return needed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.sbom", description=__doc__)
    parser.add_argument("folder", type=Path, help="where it is written")
    path = parser.parse_args().folder / f"{NAME}-{metadata.version(NAME)}.cdx.json"
    path.write_text(text(), "utf-8")
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
