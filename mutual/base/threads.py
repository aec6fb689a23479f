"""What is settled before any library loads: one number of threads for all, and how seldom garbage is looked for.

PyTorch, MKL, OpenBLAS, Faiss and Numba each read their own variable of the environment when they load. Numba's would be
the number of processors whatever OpenMP's says, and the first compiled loop hands it on to PyTorch.
"""

import atexit
import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mutual.base.errors import InputError

NUMBER = "OMP_NUM_THREADS"  # the one that the user sets
NUMBERS = (NUMBER, "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
MOST = 1024
LOOKS = 30_000  # with none at all an iteration takes a fifth longer, without end twice as long on a busy machine
MANY = 50_000  # objects made since Python last looked for garbage: it looks after 700 by itself
QUOTA = Path("/sys/fs/cgroup/cpu.max")  # https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files


def threads() -> int:
    """OMP_NUM_THREADS (of a list the first, for the outermost loops), else :func:`processors`.

    Raises :class:`InputError` when the variable is no whole number from 1 to 1024.
    """
    given = os.environ.get(NUMBER, "").strip()
    if not given:
        return processors()
    number = given.partition(",")[0].strip()
    if not (number.isascii() and number.isdigit() and len(number) < 10 and 1 <= int(number) <= MOST):
        raise InputError(f"{NUMBER}: expected a whole number from 1 to {MOST}, got {given[:40]!r}")
    return int(number)


def processors(quota: Path = QUOTA) -> int:
    """How many processors this process may use, rounded up where a container may use part of one."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        share, period = quota.read_text(encoding="ascii").split()
        count = min(count, -(-int(share) // int(period)))
    except (OSError, ValueError):  # no such file, or "max": the quota is all there is
        pass
    return min(max(count, 1), MOST)


def settle() -> None:
    """Make :func:`threads` the number of every library that loads from now on, and let its idle threads sleep soon.

    A thread that waits for the others is then no hindrance to them: awake, as OpenMP has it by default, it holds the
    processor that they need as soon as other programs run. It looks for work for a moment (:data:`LOOKS`) before it
    sleeps, since to be woken takes time. A policy of the user's own is left alone. Compiled code is kept in a temporary
    folder where neither this project's folder nor the home folder can be written.

    PyTorch makes hundreds of thousands of objects when it loads, all of which stay: Python looks less often for what
    could go, and at the end for nothing. Each process then takes a fifth less of a processor to load and to end.
    """
    gc.set_threshold(MANY, *gc.get_threshold()[1:])
    atexit.register(_forgo_the_last_look)
    os.environ.update(dict.fromkeys(NUMBERS, str(threads())))
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "passive"
        os.environ.setdefault("GOMP_SPINCOUNT", str(LOOKS))
    if "NUMBA_CACHE_DIR" not in os.environ and not _kept_by_numba():
        os.environ["NUMBA_CACHE_DIR"] = str(_private_folder())


def _forgo_the_last_look() -> None:
    """As Python ends it looks for garbage once more, in vain; Triton, which torchvision loads, counts what is left."""
    if "triton" not in sys.modules:
        gc.freeze()


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Processes that start inside have one thread each: there are as many of them as there may be threads."""
    before = {name: os.environ.get(name) for name in NUMBERS}
    os.environ.update(dict.fromkeys(NUMBERS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _kept_by_numba() -> bool:
    """Whether Numba finds a place by itself: beside the code, or in the user's folder for such things."""
    code = Path(__file__).resolve().parents[1]
    caches = (room / "__pycache__" for room in code.iterdir() if room.is_dir())
    if all(os.access(cache if cache.exists() else cache.parent, os.W_OK) for cache in caches):
        return True
    home = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")).absolute()
    return os.access(next(folder for folder in (home / "numba", home, *home.parents) if folder.exists()), os.W_OK)


def _private_folder() -> Path:
    """A folder for temporary files that this user alone can write: what lies in it will be run.

    The same for each process, unless somebody else has taken its name.
    """
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"mutual-mean-teaching-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if found.st_uid == user and not found.st_mode & 0o022 and not folder.is_symlink():
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="mutual-mean-teaching-"))
