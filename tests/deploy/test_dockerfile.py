"""The image: linted, held to what it is built from, and (under `make soak`) built and run."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import tomllib
from importlib import metadata
from pathlib import Path

import httpx
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from exporter.cli import flags
from tests.support import components

pytestmark = pytest.mark.sockets

ROOT = Path(__file__).parent.parent.parent
DOCKERFILE = ROOT / "deploy/docker/Dockerfile"
TEXT = DOCKERFILE.read_text("utf-8")
EXTRAS = tuple(re.findall(r'^ARG EXTRAS="([^"]*)"$', TEXT, re.MULTILINE)[0].split())
FINAL = TEXT[TEXT.rindex("\nFROM ") :]
BACKEND = re.compile(r"/\^\((?P<names>[a-z|-]+)\)==/")


def backend():
    """The distributions that the image takes out of the development lock."""
    found = BACKEND.search(TEXT)
    assert found is not None
    return set(found["names"].split("|"))


def closure(name):
    """The distribution `name` and all that it needs."""
    names = {name}
    for text in metadata.requires(name) or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            names |= closure(canonicalize_name(requirement.name))
    return names


def image_labels():
    return dict(re.findall(r'org\.opencontainers\.image\.([\w.]+)="([^"]*)"', FINAL))


def test_hadolint_finds_no_fault():
    hadolint = Path(sys.executable).with_name("hadolint")
    linted = subprocess.run([hadolint, "--no-color", DOCKERFILE], capture_output=True, text=True)
    assert (linted.returncode, linted.stdout) == (0, "")


def test_the_build_backend_is_installed_with_all_that_it_needs_and_no_more():
    assert backend() == closure("hatchling")


def test_every_package_from_outside_is_checked_by_its_hash():
    installs = re.findall(r"\binstall \\?\s*(--.*?)(?:&&|\n[A-Z])", TEXT, re.DOTALL)
    assert len(installs) == 3
    for options_and_more in installs:
        assert "--require-hashes" in options_and_more or "--no-index" in options_and_more


def test_the_image_runs_as_a_numbered_user_and_needs_no_shell():
    assert re.search(r"^USER (?!0)\d+:(?!0)\d+$", TEXT, re.MULTILINE)
    assert "\nRUN " not in FINAL
    for instruction in ("ENTRYPOINT", "CMD"):
        values = re.findall(rf"^\s*{instruction} (.+)$", FINAL, re.MULTILINE)
        assert values
        for value in values:
            assert isinstance(json.loads(value), list)


def test_the_labels_say_what_the_project_says_of_itself():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    labels = image_labels()
    assert labels["title"] == project["name"]
    assert labels["description"] == project["description"]
    assert labels["licenses"] == project["license"]


def test_what_a_build_knows_of_itself_is_handed_in_and_labelled():
    labels = image_labels()
    for label, argument in (
        ("source", "SOURCE"),
        ("version", "VERSION"),
        ("revision", "REVISION"),
        ("created", "CREATED"),
        ("base.name", "RUNTIME_IMAGE"),
    ):
        assert labels[label] == f"${{{argument}}}"
        assert re.search(rf"^ARG {argument}\b", FINAL, re.MULTILINE), argument
    page = labels["documentation"].removeprefix("${SOURCE}/blob/${REVISION}/")
    assert (ROOT / page).is_file()


def test_both_stages_begin_with_one_digest_and_name_no_platform():
    images = re.findall(r"^ARG (?:BUILD|RUNTIME)_IMAGE=(\S+)$", TEXT, re.MULTILINE)
    assert len(images) == 2
    assert len(set(images)) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+@sha256:[0-9a-f]{64}", images[0])
    instructions = re.sub(r"^#.*$", "", TEXT, flags=re.MULTILINE)
    assert not re.search(r"--platform|amd64|arm64|x86_64|aarch64|\bgcc\b", instructions)
    assert TEXT.count("--only-binary :all:") == 1


def test_the_image_holds_every_extra_but_the_one_with_a_library_of_170_megabytes():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(EXTRAS) == project["optional-dependencies"].keys() - {"parquet"}
    for extra in EXTRAS:
        assert (ROOT / f"requirements/{extra}.txt").is_file()


def test_a_ledger_is_never_put_into_a_volume_that_nobody_named():
    assert "\nVOLUME" not in TEXT


def test_the_environment_of_the_image_is_understood_and_overrides_nothing_typed():
    environment = dict(re.findall(r"\b(MEDIA_USAGE_EXPORTER_\w+)=(\S+)", TEXT))
    chosen = flags.parse([], environment)
    assert str(chosen.config_file) == environment["MEDIA_USAGE_EXPORTER_CONFIG_FILE"]
    assert chosen.ledger_path == environment["MEDIA_USAGE_EXPORTER_LEDGER_PATH"]
    assert chosen.web_listen_address == (f":{flags.DEFAULT_PORT}",)
    assert len(environment) == 3
    assert f"\nEXPOSE {flags.DEFAULT_PORT}\n" in TEXT


def test_the_builder_is_sent_what_the_dockerfile_copies_and_nothing_else():
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    rules = [line for line in ignored if line and not line.startswith("#")]
    build = TEXT[TEXT.index("\nFROM ") : TEXT.rindex("\nFROM ")]
    copied = {
        name.rstrip("/")
        for line in re.findall(r"^COPY (.+)$", build, re.MULTILINE)
        for name in line.split()[:-1]
    }
    assert rules[0] == "*"
    assert {rule.removeprefix("!") for rule in rules if rule.startswith("!")} == copied


# Without a registry: a Debian from debootstrap stands in for both base images, a folder of wheels
# for the index. Needs root, debootstrap, buildah and, once for the base and the wheels, a network.

POLICY = {"default": [{"type": "insecureAcceptAnything"}]}
RUN_READ_ONLY = """
set -e
root=$1; shift
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -o remount,bind,ro "$root"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs -o mode=0700,uid=65532,gid=65532 tmpfs "$root/var/lib/media-usage-exporter"
exec chroot --userspec=65532:65532 "$root" /usr/bin/env -i "$@"
"""


@pytest.fixture(scope="module")
def buildah(tmp_path_factory):
    """Runs buildah with a storage of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a Debian in a folder")
    program = components.buildah()
    folder = tmp_path_factory.mktemp("buildah")
    storage = ["--root", folder / "root", "--runroot", folder / "run", "--storage-driver", "vfs"]

    def run(*arguments):
        done = subprocess.run(
            [program, *storage, *arguments], capture_output=True, text=True, cwd=ROOT
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout.strip()

    yield run
    run("rm", "--all")
    run("rmi", "--all", "--force")


@pytest.fixture(scope="module")
def image(buildah, tmp_path_factory):
    """The image's name, built without an index and without a registry."""
    folder = tmp_path_factory.mktemp("image")
    base = folder / "base"
    base.mkdir()
    (folder / "policy.json").write_text(json.dumps(POLICY))
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    root = folder / "rootfs"
    packages = "--include=python3,python3-venv,ca-certificates"
    subprocess.run(
        [components.debootstrap(), "--variant=minbase", packages, "bookworm", root],
        check=True,
        capture_output=True,
    )
    if not (root / "usr/bin" / python).exists():
        pytest.skip(f"Debian's Python is not {python}, for which wheels can be fetched here")
    subprocess.run(["tar", "-C", root, "--exclude=./dev/*", "-cf", base / "r.tar", "."], check=True)
    shutil.rmtree(root)
    (base / "Dockerfile").write_text("FROM scratch\nADD r.tar /\n")

    wheels = folder / "wheels"
    lock = (ROOT / "requirements/development.txt").read_text("utf-8")
    blocks = re.findall(r"^(\S+)==(.*(?:\n    .*)*)", lock, re.MULTILINE)
    pins = [f"{name}=={rest}" for name, rest in blocks if name in backend()]
    (folder / "backend.txt").write_text("\n".join(pins) + "\n")
    shipped = [ROOT / f"requirements/{lock}.txt" for lock in ("runtime", *EXTRAS)]
    for requirements in (*shipped, folder / "backend.txt"):
        fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes"]
        only = ["--only-binary", ":all:", "--dest", wheels, "--requirement", requirements]
        subprocess.run([*fetch, *only], check=True)

    build = ["bud", "--isolation", "chroot", "--format", "docker", "--network", "host"]
    build += ["--pull-never", "--signature-policy", folder / "policy.json"]
    buildah(*build, "-t", "base", base)
    shutil.rmtree(base)
    arguments = {
        "BUILD_IMAGE": "localhost/base",
        "RUNTIME_IMAGE": "localhost/base",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": "/wheels",
        "VERSION": "1.2.3",
    }
    given = [f"--build-arg={name}={value}" for name, value in arguments.items()]
    buildah(*build, *given, "-v", f"{wheels}:/wheels:ro", "-f", DOCKERFILE, "-t", "built", ROOT)
    return "localhost/built", folder / "policy.json"


@pytest.mark.soak
def test_the_image_is_built_offline_and_serves_the_demo_with_a_read_only_root(buildah, image):
    name, policy = image
    config = json.loads(buildah("inspect", "--type", "image", name))["Docker"]["config"]
    assert config["User"] == "65532:65532"
    assert config["Healthcheck"]["Test"] == ["CMD", "media-usage-exporter", "healthcheck"]
    assert config["Labels"]["org.opencontainers.image.version"] == "1.2.3"
    assert config["Labels"]["org.opencontainers.image.base.name"] == "localhost/base"
    assert not config.get("Volumes")

    container = buildah("from", "--pull-never", "--signature-policy", policy, name)
    root = Path(buildah("mount", container))
    assert (root / "var/lib/media-usage-exporter").stat().st_uid == 65532
    assert not list(root.glob("opt/media-usage-exporter/lib/python*/site-packages/pip*"))
    assert list(root.glob("opt/media-usage-exporter/lib/python*/site-packages/cramjam/*.so"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    environment = [*config["Env"], f"MEDIA_USAGE_EXPORTER_WEB_LISTEN_ADDRESS={address}"]
    enter = ["unshare", "--mount", "sh", "-c", RUN_READ_ONLY, "sh", root, *environment]
    with subprocess.Popen(
        [*enter, *config["Entrypoint"], "demo"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as demo:
        try:
            wait_for(f"http://{address}/-/ready", demo)
            healthy = subprocess.run([*enter, *config["Healthcheck"]["Test"][1:]])
            assert healthy.returncode == 0
            touched = subprocess.run([*enter, "touch", "/opt/a"], capture_output=True, text=True)
            assert "Read-only file system" in touched.stderr
            assert "media_delivered_bytes_total" in httpx.get(f"http://{address}/metrics").text
        finally:
            demo.terminate()
        assert demo.wait(timeout=30) == 0


def wait_for(url, process, seconds=60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, process.stdout.read().decode()
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"{url} does not answer 200")
