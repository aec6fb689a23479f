"""Kill the pipeline again and again, let it go on, and compare what it comes to with a run that nobody disturbed.

The tiny demo runs through `python -m tools.lock_guard` and `dvc repro`. After some seconds, at random, a signal goes to
all its processes, or to dvc alone, which its stages must not outlive; the same then goes on, to be killed in turn,
until one run comes to its end. That must have the same dvc.lock files as the undisturbed run, the artefacts that they
name, and nothing left behind: no process, no temporary file, no checkpoint. --full fills its disk instead, but for a
random rest, until it has ended for want of room: disks are in memory, for which this must be run by
`unshare --user --map-root-user --mount` (Linux). Writes to a temporary folder alone; the exit code is 1 where anything
is another. Example: python -m tests.kill --kills 100 --signal TERM
"""

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.tiny_demo import TINY, sh, tiny_demo

# long enough to be killed within: a checkpoint after each iteration, and some of them
LONGER = TINY | {"iterations": 40, "pretrain_iterations": 20, "checkpoint_seconds": 0.01}
LOCKS = ("dvc.lock", "demo/dvc.lock")
WENT_ON = "went on"
COMMAND = "python -m tools.lock_guard && dvc repro"
NAME = "DVC_KILL_TEST"  # in the environment of all that a run starts


def main() -> None:
    """Print a line for each run that came to its end, and a summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--signal", choices=("KILL", "TERM", "INT"), default="KILL")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, help="of which a random part goes by before each (an eighth of a run)")
    parser.add_argument("--full", action="store_true", help="full disks in place of signals")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        top, rng = Path(name), random.Random(args.seed)
        began = time.monotonic()
        reference = undisturbed(top / "reference")
        whole = time.monotonic() - began
        # of fewer, a slow machine would never come to the later stages
        seconds = args.seconds or whole / 8
        print(f"undisturbed: {whole:.0f} s; up to {seconds:.1f} s before each", flush=True)
        count, runs, moments, found = 0, 0, Counter[str](), ""
        while count < args.kills and not found:
            folder = top / "trial"
            most, needed = args.kills - count, size_of(reference)
            with in_memory(folder, 2 * needed) if args.full else new(folder):
                if args.full:
                    disturb = Disturbance(
                        partial(filled, folder, needed, rng), "No space left|cannot be written|expected room"
                    )
                else:
                    disturb = Disturbance(partial(signalled, signal.Signals[f"SIG{args.signal}"], rng), "")
                times, found = disturbed(folder, reference, disturb, rng, seconds, most, moments)
            count, runs = count + times, runs + 1
            print(f"{count} of {args.kills}: {times} in this run: {found or 'the same'}", flush=True)
        what = "full disks" if args.full else f"SIG{args.signal}"
        same = runs - bool(found)
        print(
            f"{count} {what}; {same} of {runs} runs came to the same; {moments.pop(WENT_ON, 0)} times went on from a "
            f"checkpoint; {'full' if args.full else 'killed'} while: {dict(moments.most_common())}"
        )
        sys.exit(bool(found))


def undisturbed(folder: Path) -> Path:
    """The tiny demo, run through."""
    folder.mkdir()
    tiny_demo(folder, LONGER)
    done = sh(folder, "bash", "-c", COMMAND)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Disturbance(NamedTuple):
    """What ends a run, and in what words the run then says so (a pattern)."""

    of: Callable[["subprocess.Popen[bytes]"], None]
    told: str


def signalled(number: signal.Signals, rng: random.Random, run: "subprocess.Popen[bytes]") -> None:
    """A signal to all, or to dvc alone."""
    (os.killpg if rng.random() < 0.5 else os.kill)(run.pid, number)


def filled(folder: Path, needed: int, rng: random.Random, run: "subprocess.Popen[bytes]") -> None:
    """Fill the disk until the run has ended; the rest is from a sixteenth of what a run needs to next to nothing."""
    rest = int(needed / 2 ** rng.uniform(4, 20))
    with tempfile.TemporaryFile(dir=folder) as filler:
        while (more := shutil.disk_usage(folder).free - rest) > 0:
            with suppress(OSError):  # the run has just taken some of it
                os.posix_fallocate(filler.fileno(), os.fstat(filler.fileno()).st_size, more)
        run.wait()


def disturbed(
    folder: Path,
    reference: Path,
    disturbance: Disturbance,
    rng: random.Random,
    seconds: float,
    most: int,
    moments: Counter[str],
) -> tuple[int, str]:
    """Disturb a run, at most so many times, until it comes to its end; how many times, and what went wrong."""
    tiny_demo(folder, LONGER)
    output = folder.parent / "output.txt"
    for count in range(most + 1):
        guarded = sh(folder, "python", "-m", "tools.lock_guard")
        if guarded.returncode:
            return count, guarded.stdout + guarded.stderr
        run, through = started(folder, output, "repro"), True
        try:
            run.wait(rng.uniform(0, seconds) if count < most else None)
        except subprocess.TimeoutExpired:
            disturbance.of(run)
            through = run.returncode == 0  # it needed no more room
        finally:
            left = ended(folder, run)
        told = output.read_text(errors="replace")
        moments[WENT_ON] += told.count("goes on from iteration")
        if left:
            return count, f"still at work: {left}"
        if through:
            return count, compared(folder, reference) if run.returncode == 0 else told[-600:]
        if not re.search(disturbance.told, told):
            return count, f"ended by something else: {told[-600:]}"
        *_, stage = re.findall(r"Running stage '([^']+)'", told) or ["start"]
        moments[stage] += 1
    return most, "it did not come to its end"


def ended(folder: Path, run: "subprocess.Popen[bytes]") -> list[str]:
    """Wait for the end of a run and of all that it started; after a minute, end what is left, and say what it was."""
    ends = time.monotonic() + 60
    try:
        run.wait(60)
        while (left := still_running(folder)) and time.monotonic() < ends:
            time.sleep(0.1)
        return left
    finally:  # Ctrl-C, too
        with suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)


def started(folder: Path, output: Path, *arguments: str, **more: str) -> "subprocess.Popen[bytes]":
    """dvc, at work in a group of processes of its own, with ``more`` variables in its environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1", NAME: str(folder)} | more
    with output.open("wb") as file:
        return subprocess.Popen(
            (sys.executable, "-m", "dvc", *arguments),
            cwd=folder,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # what runs in the background has it ignored
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )


@contextmanager
def new(folder: Path) -> Iterator[None]:
    """A new folder, deleted afterwards."""
    folder.mkdir()
    yield
    shutil.rmtree(folder)


@contextmanager
def in_memory(folder: Path, size: int) -> Iterator[None]:
    """A new folder on a disk of its own, of so many bytes."""
    with new(folder):
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", str(folder)], check=True)


def size_of(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def compared(folder: Path, reference: Path) -> str:
    """In what a run that came to its end differs from the undisturbed one; empty where in nothing."""
    others = [lock for lock in LOCKS if (folder / lock).read_bytes() != (reference / lock).read_bytes()]
    if others:
        return f"other {' and '.join(others)}"
    hashed = sh(folder, "python", "-m", "tools.verify")
    if hashed.returncode:
        return hashed.stdout + hashed.stderr
    left = [*left_behind(folder), *still_running(folder)]
    return f"left behind: {', '.join(left)}" if left else ""


def left_behind(folder: Path) -> list[str]:
    """Temporary files and checkpoints."""
    every = [path for path in folder.rglob("*") if ".dvc" not in path.parts and ".git" not in path.parts]
    temporary = [path for path in every if path.name.startswith(".") and path.suffix in (".tmp", ".old", ".half")]
    return [str(path.relative_to(folder)) for path in [*temporary, *(folder / ".resume").rglob("*.*")]]


def still_running(folder: Path) -> list[str]:
    """Processes that a run in this folder started."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if f"{NAME}={folder}".encode() in (place / "environ").read_bytes().split(b"\0"):
                found.append((place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # another user's, or gone
            continue
    return found


if __name__ == "__main__":
    main()
