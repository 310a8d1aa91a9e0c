"""What happens to the process: killed, starved of disk, of descriptors, of its ledger."""

from __future__ import annotations

import contextlib
import random
import resource
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from tests.attack.reporting import Attack
from tests.attack.rig import Rig
from tests.support.processes import Exporter, eventually

KINDS = ("503", "reset", "truncated", "429", "html", "401", "empty")
WRITE_FAILURES = "media_exporter_ledger_write_failures_total"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path, tmp_path / "usage.db", ("millicast", "livepeer")).serving() as rig:
        yield rig


def polled(rig: Rig) -> bool:
    """Whether every feed has succeeded at least once."""
    page = rig.scrape()
    return page is not None and all(
        value == 1 for (name, _), value in page.items() if name == "media_exporter_poll_success"
    )


def trouble_every_vendor(rig: Rig, chance: random.Random, kinds: Sequence[str]) -> None:
    """Each vendor's next few answers go wrong in a way of its own."""
    rig.emulators.faults.clear()
    for provider in rig.providers:
        rig.emulators.faults.set(provider, chance.choice(kinds), times=chance.randint(1, 12))


def kill_again_and_again(rig: Rig, times: int, attack: Attack) -> None:
    chance = random.Random(times)
    for _ in range(times):
        trouble_every_vendor(rig, chance, KINDS)
        rig.running.start()
        lives_until = time.monotonic() + chance.uniform(0.05, 3)
        answered = False
        while time.monotonic() < lives_until or not (answered or chance.random() < 0.3):
            answered = rig.scrape() is not None or answered
            time.sleep(0.02)
        rig.running.kill()
        attack.tried("kill -9 at a random moment, with faults on")
    rig.running.start()
    rig.settle(attack)
    assert rig.scrapes > times // 2
    assert "Traceback" not in rig.running.log.read_text()


@pytest.mark.timeout(300)
def test_nothing_is_lost_or_shown_lower_when_killed(rig: Rig, attack: Attack) -> None:
    """However often the process is killed, no counter is ever lower than a scrape has seen it,
    and in the end all are the truth.
    """
    kill_again_and_again(rig, 4, attack)


@pytest.mark.soak
def test_nothing_is_lost_when_killed_hundreds_of_times(tmp_path: Path, attack: Attack) -> None:
    """The same, with all vendors, three hundred times."""
    with Rig(
        tmp_path, tmp_path / "usage.db", ("millicast", "dolby_media", "wowza", "livepeer")
    ).serving() as rig:
        kill_again_and_again(rig, 300, attack)


def stop_again_and_again(rig: Rig, times: int, attack: Attack) -> None:
    chance = random.Random(times)
    for _ in range(times):
        trouble_every_vendor(rig, chance, (*KINDS, "stall", "drip"))
        rig.running.start()
        rig.scraped()
        time.sleep(chance.uniform(0, 2))
        assert rig.running.stop() == 0
        attack.tried("SIGTERM at a random moment, with faults on")
    rig.running.start()
    rig.settle(attack)
    assert "Traceback" not in rig.running.log.read_text()


@pytest.mark.timeout(300)
def test_a_stop_in_mid_poll_is_clean(rig: Rig, attack: Attack) -> None:
    """Whatever vendors do just then, SIGTERM ends the program with exit 0, and nothing is lost."""
    stop_again_and_again(rig, 3, attack)


@pytest.mark.soak
def test_stops_in_mid_poll_are_clean_however_often(tmp_path: Path, attack: Attack) -> None:
    """The same, with all vendors, fifty times."""
    with Rig(
        tmp_path, tmp_path / "usage.db", ("millicast", "dolby_media", "wowza", "livepeer")
    ).serving() as rig:
        stop_again_and_again(rig, 50, attack)


# --- The disk -------------------------------------------------------------------------------------


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of two megabytes, where tests may mount one."""
    disk = folder / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root may mount a disk")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fails_to_write(rig: Rig) -> None:
    """Writes fail, and are counted; the exporter answers and stands where it stood."""
    failures = rig.own(WRITE_FAILURES)
    eventually(lambda: rig.own(WRITE_FAILURES) > failures + 2, "writes fail and are counted")
    for path in ("/", "/-/healthy", "/-/ready", "/api/v1/status", "/config"):
        assert rig.running.get(path).status_code == 200, path


@pytest.mark.timeout(300)
def test_a_full_disk_is_survived(tmp_path: Path, attack: Attack) -> None:
    """While the disk is full nothing new is shown and nothing shown is taken back; once there is
    space again the counters come to the truth without a restart.
    """
    with (
        small_disk(tmp_path) as disk,
        Rig(tmp_path, disk / "usage.db", ("millicast", "livepeer")).serving() as rig,
    ):
        rig.running.start()
        eventually(lambda: polled(rig), "all was polled")
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        fails_to_write(rig)
        filler.unlink()
        rig.settle(attack)
        attack.tried("disk full")


@pytest.mark.timeout(300)
def test_files_that_may_not_grow_are_survived(rig: Rig, attack: Attack) -> None:
    """A limit on the size of files is to the exporter what a full disk is."""
    rig.running.start()
    eventually(lambda: polled(rig), "all was polled")
    before = resource.prlimit(rig.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(rig.pid, resource.RLIMIT_FSIZE, (1024, before[1]))
    fails_to_write(rig)
    resource.prlimit(rig.pid, resource.RLIMIT_FSIZE, before)
    rig.settle(attack)
    attack.tried("files may not grow")


def test_a_ledger_on_a_read_only_disk_is_refused_at_the_start(
    tmp_path: Path, attack: Attack
) -> None:
    """An exporter that could not write down anything does not start, and says why in one line."""
    with (
        small_disk(tmp_path) as disk,
        Rig(tmp_path, disk / "usage.db", ("millicast",)).serving() as rig,
    ):
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert "usage.db" in refused(rig.running)
        attack.tried("ledger on a read-only disk at the start")


class FailingDisk:
    """A disk of its own, which Linux makes read-only when it comes upon an error."""

    def __init__(self, folder: Path) -> None:
        self.image = folder / "disk.img"
        self.path = folder / "disk"
        self.path.mkdir()
        self.image.write_bytes(bytes(16 * 2**20))
        made = self._ran("mkfs.ext4", "-q", str(self.image)) and self._mounted()
        if not made:
            pytest.skip("only root may mount a disk, where there are loop devices")

    def _ran(self, *command: str) -> bool:
        if shutil.which(command[0]) is None:
            return False
        return subprocess.run(command, capture_output=True).returncode == 0

    def _mounted(self) -> bool:
        options = "loop,errors=remount-ro"
        return self._ran("mount", "-o", options, str(self.image), str(self.path))

    def fail(self) -> None:
        """As ext4 does when it finds itself damaged: nothing can be written from now on."""
        number = subprocess.run(
            ["findmnt", "--noheadings", "--output", "SOURCE", str(self.path)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        Path(f"/sys/fs/ext4/{Path(number).name}/trigger_fs_error").write_text("1")

    def repair(self) -> None:
        """What an administrator does: unmount, check, mount."""
        subprocess.run(["umount", str(self.path)], check=True)
        checked = subprocess.run(["fsck.ext4", "-p", str(self.image)], capture_output=True)
        assert checked.returncode < 2, "neither whole nor corrected"
        assert self._mounted()

    def close(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)


@pytest.mark.timeout(300)
def test_a_disk_that_becomes_read_only_is_survived(tmp_path: Path, attack: Attack) -> None:
    """On a disk that failed what is shown stands, and the exporter answers; on the repaired disk,
    the counters come to the truth.
    """
    with contextlib.closing(FailingDisk(tmp_path)) as disk:
        rig = Rig(tmp_path, disk.path / "usage.db", ("millicast", "livepeer"))
        with rig.serving():
            rig.running.start()
            eventually(lambda: polled(rig), "all was polled")
            disk.fail()
            fails_to_write(rig)
            assert rig.running.stop() == 0
            assert "Read-only file system" in refused(rig.running)
            disk.repair()
            rig.running.start()
            rig.settle(attack)
    attack.tried("ledger's disk becomes read-only")


@pytest.mark.timeout(300)
def test_a_ledger_that_may_not_be_written_for_a_while_is_survived(
    tmp_path: Path, attack: Attack
) -> None:
    """Once it may be written again the counters come to the truth without a restart."""
    with contextlib.closing(FailingDisk(tmp_path)) as disk:
        rig = Rig(tmp_path, disk.path / "usage.db", ("millicast", "livepeer"))
        with rig.serving():
            rig.running.start()
            eventually(lambda: polled(rig), "all was polled")
            # Not its index, which is memory: Linux kills whoever writes to memory that it may not.
            files = [f"{rig.ledger}", f"{rig.ledger}-wal"]
            subprocess.run(["chattr", "+i", *files], check=True)
            fails_to_write(rig)
            subprocess.run(["chattr", "-i", *files], check=True)
            rig.settle(attack)
    attack.tried("ledger's files become read-only")


def refused(exporter: Exporter) -> str:
    """What an exporter says that does not start; exit code 1 and no traceback."""
    began = exporter.log.stat().st_size if exporter.log.exists() else 0
    exporter.start()
    assert exporter.process is not None
    assert exporter.process.wait(timeout=60) == 1
    said = exporter.log.read_text()[began:]
    assert "Traceback" not in said
    assert "ledger" in said
    return said.strip().splitlines()[-1]


def test_a_second_exporter_on_the_same_ledger_is_refused(rig: Rig, attack: Attack) -> None:
    """Two never write to one ledger: the second says so and ends, the first goes on."""
    rig.running.start()
    eventually(lambda: polled(rig), "all was polled")
    second = Exporter(rig.running.config)
    second.log = rig.folder / "second.log"
    assert "another exporter is writing to it" in refused(second)
    rig.settle(attack)
    attack.tried("a second exporter on the same ledger")


@pytest.mark.parametrize("damage", ["overwritten", "cut", "text"])
def test_a_damaged_ledger_is_kept_and_refused(rig: Rig, damage: str, attack: Attack) -> None:
    """A damaged ledger is neither repaired nor replaced: the exporter says so and ends."""
    rig.running.start()
    eventually(lambda: polled(rig), "all was polled")
    assert rig.running.stop() == 0
    whole = rig.ledger.read_bytes()
    if damage == "overwritten":
        spoilt = whole[:4096] + random.Random(1).randbytes(len(whole) - 4096)
    elif damage == "cut":
        spoilt = whole[: len(whole) // 2]
    else:
        spoilt = b"this is no ledger\n" * 400
    rig.ledger.write_bytes(spoilt)
    assert "left as it is" in refused(rig.running)
    assert rig.ledger.read_bytes() == spoilt
    rig.ledger.write_bytes(whole)
    rig.running.start()
    rig.settle(attack)
    attack.tried("damaged ledger at the start")


# --- Descriptors ----------------------------------------------------------------------------------


@pytest.mark.timeout(300)
def test_running_out_of_descriptors_is_survived(rig: Rig, attack: Attack) -> None:
    """With no descriptor left it goes on answering; with some again the counters come to the truth."""
    rig.running.start()
    eventually(lambda: polled(rig), "all was polled")
    before = resource.prlimit(rig.pid, resource.RLIMIT_NOFILE)
    host, _, port = rig.running.address.partition(":")
    address = (host, int(port))
    with httpx.Client(trust_env=False, timeout=30) as open_before:
        assert open_before.get(f"{rig.running.url}/-/healthy").status_code == 200
        used = max(int(name.name) for name in Path(f"/proc/{rig.pid}/fd").iterdir()) + 1
        resource.prlimit(rig.pid, resource.RLIMIT_NOFILE, (used, before[1]))
        crowd = [socket.create_connection(address) for _ in range(40)]
        for provider in rig.providers:  # so that it has to connect anew
            rig.emulators.faults.set(provider, "reset", times=20)
        for _ in range(20):
            assert open_before.get(f"{rig.running.url}/-/healthy").status_code == 200
            assert "poll_failures_total" in open_before.get(f"{rig.running.url}/metrics").text
            time.sleep(0.2)
        for connection in crowd:
            connection.close()
    resource.prlimit(rig.pid, resource.RLIMIT_NOFILE, before)
    rig.settle(attack)
    attack.tried("out of file descriptors")


# --- Memory ---------------------------------------------------------------------------------------

MOST_KILOBYTES = 512 * 1024


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["big-body", "gzip-bomb"])
def test_large_answers_of_every_vendor_at_once_do_not_fill_the_memory(
    tmp_path: Path, kind: str, attack: Attack
) -> None:
    """However many large answers come at the same time, they are read a few at a time."""
    every = ("millicast", "dolby_media", "wowza", "livepeer")
    with Rig(tmp_path, tmp_path / "usage.db", every, cadence=30).serving() as rig:
        for provider in every:
            rig.emulators.faults.set(provider, kind)
        rig.running.start()

        def refused_by_all() -> bool:
            page = rig.page(timeout=30) or {}
            refused = {
                dict(labels)["provider"]
                for (name, labels), value in page.items()
                if name == "media_exporter_poll_failures_total"
                and dict(labels)["reason"] == "too_large"
                and value
            }
            return refused == set(every)

        eventually(refused_by_all, "every vendor's answer was refused")
        status = Path(f"/proc/{rig.pid}/status").read_text().splitlines()
        (peak,) = (int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        assert peak < MOST_KILOBYTES
    attack.tried("large answers and gzip bombs of every vendor at once", len(every))
