"""The Debian package, installed in a copy of this machine and run; the RPM package, read."""

import itertools
import re
import shlex
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from packaging.version import Version

from exporter.cli import demo, flags
from tests.deploy.configurations import credential_files
from tests.support import components
from tests.support.processes import eventually, free_port
from tools import packages

pytestmark = [pytest.mark.sockets, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
NAME = "media-usage-exporter"
LEDGER = f"/var/lib/{NAME}/usage.db"
CONFIGURATION = f"/etc/{NAME}/config.yaml"
SECRET = f"/etc/{NAME}/credentials/livepeer"

# What is written in there is gone with it; /media has the packages, /run is empty, as nothing runs.
COPY = """
set -e
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
mount -t proc proc /mnt/root/proc
mount --rbind /dev /mnt/root/dev
mount -t tmpfs tmpfs /mnt/root/run
mount -t tmpfs -o mode=1777 tmpfs /mnt/root/tmp
mount --bind "$1" /mnt/root/media
echo ready
exec cat
"""
SYSTEMCTL = '#!/bin/sh\necho "$@" >> /tmp/systemctl\n'


def unit_settings(text, key):
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with both packages, made as `make packages` makes them."""
    folder = tmp_path_factory.mktemp("packages")
    build = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    command = [sys.executable, "-m", "tools.packages", wheel]
    made = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if made.returncode:
        components.package_index(made.stderr)
    assert made.returncode == 0, made.stderr[-4000:]
    return folder


class Machine:
    """A copy of this machine that forgets what is done in it."""

    def __init__(self, pid, address):
        self.address = address
        self._enter = ["nsenter", f"--mount=/proc/{pid}/ns/mnt", "chroot"]

    def command(self, *words, user=""):
        return [*self._enter, *([f"--userspec={user}:{user}"] if user else []), "/mnt/root", *words]

    def run(self, *words, status=0, **options):
        """What the command writes, without the blanks around it."""
        done = subprocess.run(self.command(*words), capture_output=True, text=True, **options)
        assert done.returncode == status, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout.strip()

    def write(self, path, text):
        self.run("tee", path, input=text)

    def install(self):
        self.run("sh", "-c", "DEBIAN_FRONTEND=noninteractive dpkg --install /media/*.deb")

    def has(self, path):
        return subprocess.run(self.command("test", "-e", path)).returncode == 0

    def owned(self, path):
        return self.run("stat", "--format=%a %U:%G", path)

    def pretend_systemd(self):
        """Let the package's scripts meet a systemd that only writes down what it is told."""
        self.run("mkdir", "-p", "/run/systemd/system")
        self.write("/usr/local/sbin/systemctl", SYSTEMCTL)
        self.run("chmod", "755", "/usr/local/sbin/systemctl")

    def told_systemd(self):
        """What systemctl was told since the last time."""
        told = self.run("sh", "-c", "cat /tmp/systemctl && rm /tmp/systemctl")
        return told.splitlines()

    @contextmanager
    def running(self, *words, user=""):
        command = self.command(*words, user=user)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            try:
                yield process
            finally:
                process.terminate()


@pytest.fixture
def machine(built):
    components.own_machine()
    components.system_python()
    command = ["unshare", "--mount", "--propagation=private", "sh", "-c", COPY, "sh", built]
    pipe = subprocess.PIPE
    # The end of its input ends `cat`, and with it goes all that was mounted.
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        yield Machine(holder.pid, f"127.0.0.1:{free_port()}")
        holder.stdin.close()


def configure(machine, vendor):
    """Make the machine's exporter poll an emulated vendor that listens at `vendor`."""
    machine.write(SECRET, demo.CREDENTIAL)
    machine.run("chown", f"root:{NAME}", SECRET)
    machine.run("chmod", "640", SECRET)
    accounts = f"""\
ledger:
  path: {LEDGER}
accounts:
  - name: studio
    provider: livepeer
    url: http://{vendor}/livepeer/api
    credentials_file: {SECRET}
"""
    machine.write(CONFIGURATION, accounts)
    machine.write(f"/etc/default/{NAME}", f"{flags.PREFIX}WEB_LISTEN_ADDRESS={machine.address}\n")


def start(machine):
    """Run what the installed unit says, as its user; a context with the process."""
    unit = machine.run("cat", f"/usr/lib/systemd/system/{NAME}.service")
    (command,) = unit_settings(unit, "ExecStart")
    (user,) = unit_settings(unit, "User")
    (mask,) = unit_settings(unit, "UMask")
    (file,) = unit_settings(unit, "EnvironmentFile")
    environment = machine.run("cat", file.removeprefix("-")).split("\n")
    words = shlex.split(command)
    masked = ["sh", "-c", 'umask "$0" && exec "$@"', mask, "env", "-i", *environment, *words]
    return machine.running(*masked, user=user)


def page(machine, process):
    """What is served; nothing as long as nothing is."""
    assert process.poll() is None, process.stdout.read().decode()
    try:
        return httpx.get(f"http://{machine.address}/metrics", trust_env=False).text
    except httpx.TransportError:
        return ""


def test_what_is_installed_serves_a_vendors_data_as_its_unit_starts_it(machine):
    machine.install()
    vendor = f"127.0.0.1:{free_port()}"
    configure(machine, vendor)
    emulator = [NAME, "emulate", f"--listen-address={vendor}"]
    with machine.running(*emulator), start(machine) as process:
        polled = r'^media_exporter_poll_success{.*account="studio".*} 1$'
        eventually(
            lambda: re.search(polled, page(machine, process), re.MULTILINE), "the account is polled"
        )
        assert machine.owned(LEDGER) == f"600 {NAME}:{NAME}"
        process.terminate()
        assert process.wait(timeout=30) == 0


def test_the_command_is_on_the_path_and_needs_nothing_from_where_it_was_built(machine):
    machine.install()
    machine.run("rm", "-rf", str(ROOT))
    machine.run("rm", "-rf", sys.prefix)
    assert machine.run("env", "-i", "PATH=/usr/bin", NAME, "--version").startswith(NAME)
    ask = (
        "import sys; print(sys.path, sys._base_executable); import cramjam, google.protobuf, uvloop"
    )
    said = machine.run(f"/usr/lib/{NAME}/bin/python", "-I", "-c", ask)
    assert f"/usr/bin/{packages.PYTHON}" in said
    assert str(ROOT) not in said


def test_only_root_and_the_group_read_the_configuration_and_the_secrets(machine):
    machine.install()
    assert machine.owned(CONFIGURATION) == f"640 root:{NAME}"
    assert machine.owned(f"/etc/{NAME}/credentials") == f"750 root:{NAME}"
    assert machine.owned(f"/var/lib/{NAME}") == f"700 {NAME}:{NAME}"
    assert machine.run("getent", "passwd", NAME).endswith(f":/var/lib/{NAME}:/usr/sbin/nologin")


def test_removing_keeps_what_was_counted_and_configured_and_purging_takes_all(machine):
    machine.install()
    machine.write(LEDGER, "counted")
    machine.write(SECRET, "invented")
    wanted = f"/etc/systemd/system/multi-user.target.wants/{NAME}.service"
    machine.run("mkdir", "-p", str(Path(wanted).parent))
    machine.run("ln", "-s", f"/usr/lib/systemd/system/{NAME}.service", wanted)
    machine.run("dpkg", "--remove", NAME)
    assert subprocess.run(machine.command("test", "-L", wanted)).returncode == 1
    assert not machine.has(f"/usr/bin/{NAME}")
    assert not machine.has(f"/usr/lib/{NAME}")
    for path in (LEDGER, SECRET, CONFIGURATION, f"/etc/default/{NAME}"):
        assert machine.has(path), path

    machine.install()
    assert machine.run("cat", LEDGER) == "counted"

    machine.run("dpkg", "--purge", NAME)
    for path in (f"/var/lib/{NAME}", f"/etc/{NAME}", f"/etc/default/{NAME}"):
        assert not machine.has(path), path
    assert machine.run("getent", "passwd", NAME)


def test_every_command_finds_the_ledger_that_the_unit_writes(machine):
    machine.install()
    machine.write(SECRET, "invented")
    said = machine.run(NAME, "check-config", f"--config.file={CONFIGURATION}")
    assert f"ledger: SQLite, {LEDGER}," in said
    unit = machine.run("cat", f"/usr/lib/systemd/system/{NAME}.service")
    (command,) = unit_settings(unit, "ExecStart")
    assert command == f"/usr/bin/{NAME} --config.file={CONFIGURATION}"


def test_an_upgrade_keeps_a_changed_configuration_and_restarts_what_runs(machine):
    machine.pretend_systemd()
    machine.install()
    assert machine.told_systemd() == ["daemon-reload"]
    machine.write(CONFIGURATION, "accounts: mine")
    machine.install()
    assert machine.run("cat", CONFIGURATION) == "accounts: mine"
    assert machine.owned(CONFIGURATION) == f"640 root:{NAME}"
    service = f"{NAME}.service"
    assert machine.told_systemd() == ["daemon-reload", "daemon-reload", f"try-restart {service}"]
    machine.run("dpkg", "--remove", NAME)
    assert machine.told_systemd() == [f"disable --now {service}", "daemon-reload"]


def test_an_administrators_own_mode_stays(machine):
    machine.install()
    own = ["dpkg-statoverride", "--update", "--add", "root", "adm", "0600", CONFIGURATION]
    machine.run(*own)
    machine.install()
    assert machine.owned(CONFIGURATION) == "600 root:adm"


def test_both_packages_hold_the_same_files(built):
    (deb,) = built.glob("*.deb")
    (rpm,) = built.glob("*.rpm")
    listed = subprocess.run(["dpkg-deb", "--contents", deb], capture_output=True, text=True)
    in_deb = {line.split()[5].removeprefix(".") for line in listed.stdout.splitlines()}
    named = subprocess.run(
        [components.rpm(), "-qpl", rpm], check=True, capture_output=True, text=True
    )
    in_rpm = set(named.stdout.split("\n")) - {""}
    files = {name for name in in_deb if not name.endswith("/")}
    assert f"/usr/bin/{NAME}" in files
    assert files <= in_rpm
    folders = {f"{name}/" for name in in_rpm - files}
    assert folders - in_deb == {f"/var/lib/{NAME}/"}


def test_the_rpm_gives_files_to_the_group_and_keeps_changed_ones(built):
    (rpm,) = built.glob("*.rpm")
    query = r"[%{FILENAMES} %{FILEMODES} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILEFLAGS:fflags}.\n]"
    command = [components.rpm(), "-qp", "--queryformat", query, rpm]
    asked = subprocess.run(command, check=True, capture_output=True, text=True)
    rows = (line.split() for line in asked.stdout.splitlines())
    files = {path: (stat.S_IMODE(int(mode)), *rest) for path, mode, *rest in rows}
    assert files[CONFIGURATION] == (0o640, f"root:{NAME}", "cn.")
    assert files[f"/etc/default/{NAME}"] == (0o644, "root:root", "cn.")
    assert files[f"/etc/{NAME}/credentials"] == (0o750, f"root:{NAME}", ".")
    assert files[f"/var/lib/{NAME}"] == (0o700, f"{NAME}:{NAME}", ".")
    asked = subprocess.run(
        [components.rpm(), "-qp", "--requires", "--scripts", rpm],
        check=True,
        capture_output=True,
        text=True,
    )
    assert packages.PYTHON in asked.stdout.split()
    order = re.findall(r"^(\w+) scriptlet", asked.stdout, re.MULTILINE)
    assert sorted(order) == ["postinstall", "postuninstall", "preinstall", "preuninstall"]
    assert "rm -rf" not in asked.stdout


def test_systemd_finds_no_fault_in_the_packages_unit(tmp_path):
    analyze = components.systemd_analyze()
    program = tmp_path / NAME
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / f"{NAME}.service"
    # It insists on a program and on a user that exist; which, does not matter to it.
    text = packages.unit().replace(f"/usr/bin/{NAME}", str(program))
    unit.write_text(text.replace(f"User={NAME}\nGroup={NAME}\n", "User=daemon\nGroup=daemon\n"))
    command = [analyze, "verify", "--man=no", "--recursive-errors=no", unit]
    verified = subprocess.run(command, capture_output=True, text=True)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    security = [analyze, "security", "--offline=true", "--threshold=20", "--no-pager", unit]
    judged = subprocess.run(security, capture_output=True, text=True)
    assert judged.returncode == 0, judged.stdout


def test_the_packages_unit_takes_no_secret_that_is_not_there_at_first():
    assert unit_settings(packages.unit(), "LoadCredential") == []
    example = ROOT / "deploy/packages/config.yaml"
    assert {path.parent for path in credential_files(example)} == {Path(SECRET).parent}


def test_the_packages_hold_what_the_image_holds():
    dockerfile = (ROOT / "deploy/docker/Dockerfile").read_text("utf-8")
    (extras,) = re.findall(r'^ARG EXTRAS="([^"]*)"$', dockerfile, re.MULTILINE)
    assert ["runtime", *extras.split()] == list(packages.LOCKS)


def test_versions_are_sorted_by_dpkg_as_by_python():
    versions = ["1.0.dev3", "1.0a2", "1.0b1", "1.0rc1", "1.0", "1.0.post1", "1.1.0rc1", "1.1.0"]
    assert sorted(versions, key=Version) == versions
    sortable = [f"{packages.package_version(Version(text))}-1.py311" for text in versions]
    for older, newer in itertools.pairwise(sortable):
        compared = subprocess.run(["dpkg", "--compare-versions", older, "lt", newer])
        assert compared.returncode == 0, (older, newer)
