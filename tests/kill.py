"""Kill the pipeline again and again, let it go on, and compare what it comes to with a run that nobody disturbed.

The tiny demo runs through `python -m tools.lock_guard && dvc repro`. After some seconds, at random, a signal goes to
all its processes; the same command then goes on, to be killed in turn, until one run comes to its end. That must have
the same dvc.lock files as the undisturbed run, the artefacts that they name, and nothing left behind: no process, no
temporary file, no checkpoint. --full does it with disks that are full at a random moment and are emptied then; these
are in memory (Linux, with unshare). Writes to a temporary folder alone; the exit code is 1 where anything is another.
Example: python -m tests.kill --kills 100 --signal TERM
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.tiny_demo import TINY, sh, tiny_demo

# long enough to be killed within: a checkpoint after each iteration, and some of them
LONGER = TINY | {"iterations": 40, "pretrain_iterations": 20, "checkpoint_seconds": 0.01}
LOCKS = ("dvc.lock", "demo/dvc.lock")
COMMAND = "python -m tools.lock_guard && dvc repro"
NAME = "DVC_KILL_TEST"  # in the environment of all that a run starts


def main() -> None:
    """Print a line for each run that came to its end, and a summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--signal", choices=("KILL", "TERM", "INT"), default="KILL")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=12, help="of which a random part goes by before each")
    parser.add_argument("--full", action="store_true", help="full disks in place of signals")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        top, rng = Path(name), random.Random(args.seed)
        began = time.monotonic()
        reference = undisturbed(top / "reference")
        print(f"undisturbed: {time.monotonic() - began:.0f} s", flush=True)
        count, faults, moments = 0, 0, Counter[str]()
        while count < args.kills:
            folder = top / "trial"
            if args.full:
                times, found = filled(folder, reference, rng)
            else:
                number = signal.Signals[f"SIG{args.signal}"]
                times, found = killed(folder, reference, number, rng, args.seconds, args.kills - count, moments)
            count += times
            faults += bool(found)
            print(f"{count} of {args.kills}: {times} in this run: {found or 'the same'}", flush=True)
            shutil.rmtree(folder)
        what = "full disks" if args.full else f"SIG{args.signal}"
        print(f"{count} {what}, {faults} runs that came to something else; killed while: {dict(moments.most_common())}")
        sys.exit(faults > 0)


def undisturbed(folder: Path) -> Path:
    """The tiny demo, run through."""
    folder.mkdir()
    tiny_demo(folder, LONGER)
    done = sh(folder, "bash", "-c", COMMAND)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def killed(
    folder: Path,
    reference: Path,
    number: signal.Signals,
    rng: random.Random,
    seconds: float,
    most: int,
    moments: Counter[str],
) -> tuple[int, str]:
    """Kill a run, at most so many times, until it comes to its end; how many times, and what went wrong."""
    folder.mkdir()
    tiny_demo(folder, LONGER)
    for count in range(most + 1):
        output = folder.parent / "output.txt"
        run = started(folder, output)
        try:
            run.wait(rng.uniform(0, seconds) if count < most else None)
        except subprocess.TimeoutExpired:
            text = output.read_text(errors="replace")
            moments[
                text.rpartition("Running stage '")[2].partition("'")[0] if "Running stage" in text else "start"
            ] += 1
            os.killpg(run.pid, number)
            run.wait()
            continue
        if run.returncode:
            return count, f"exit code {run.returncode}: {output.read_text(errors='replace')[-600:]}"
        break
    return count, compared(folder, reference)


def started(folder: Path, output: Path) -> "subprocess.Popen[bytes]":
    """The pipeline, at work in a group of processes of its own."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1", NAME: str(folder)}
    with output.open("wb") as file:
        return subprocess.Popen(
            ("bash", "-c", COMMAND),
            cwd=folder,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # what runs in the background has it ignored
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )


def filled(folder: Path, reference: Path, rng: random.Random) -> tuple[int, str]:
    """Let a run come to the end of its disk, make room, and go on: how often it was full, and what went wrong."""
    needed = sum(path.lstat().st_size for path in reference.rglob("*") if path.is_file())
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={2 * needed}", "tmpfs", str(folder)], check=True)
    try:
        tiny_demo(folder, LONGER)
        free = shutil.disk_usage(folder).free
        (folder.parent / "output.txt").touch()
        with (folder / ".dvc" / "tmp-filler").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, int(free - rng.uniform(0, needed)))
        run = started(folder, folder.parent / "output.txt")
        times = int(run.wait() != 0)
        (folder / ".dvc" / "tmp-filler").unlink()
        done = sh(folder, "bash", "-c", COMMAND)
        return times, compared(folder, reference) if done.returncode == 0 else (done.stdout + done.stderr)[-600:]
    finally:
        subprocess.run(["umount", str(folder)], check=True)


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
    temporary = [path for path in every if path.name.startswith(".") and path.suffix in (".tmp", ".old")]
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
