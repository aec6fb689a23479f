"""How far work is: a bar with rate and remaining time on a terminal, a line every half minute where there is none."""

import io
import sys
from collections.abc import Iterable, Sized
from multiprocessing import parent_process
from typing import Any

from tqdm import tqdm

from mutual.base.launched import rank

EVERY = 30.0  # seconds between two lines
LINE = "{desc}: {n_fmt} of {total_fmt} {unit}, {rate_fmt}, {remaining} left{postfix}"
ENDLESS = "{desc}: {n_fmt} {unit}, {rate_fmt}{postfix}"  # where nobody knows how much there is to do


class Progress(tqdm):
    """tqdm's, whose bar goes when the work is done; what takes less than half a minute leaves no line.

    On stderr, like tqdm's. Where that is a file or a pipe, as under ``nohup`` or in a queue, a bar would fill it; those
    of processes that work side by side would write over each other. Of those that share one work the first has it.
    """

    def __init__(
        self, iterable: Iterable[Any] | None = None, *, desc: str, unit: str, total: int | None = None, initial: int = 0
    ) -> None:
        self.in_lines = not sys.stderr.isatty() or parent_process() is not None
        if total is None and isinstance(iterable, Sized):
            total = len(iterable)
        keys: dict[str, Any] = {"desc": desc, "unit": unit, "total": total, "initial": initial, "leave": False}
        if rank() > 0:
            keys["disable"] = True
        if self.in_lines:
            form = ENDLESS if total is None else LINE
            # to a file of its own: what tqdm clears when it closes is no line
            keys |= {"file": io.StringIO(), "bar_format": form}
            # every step is counted: tqdm's monitor would print a line between two with the count of the one before
            keys["miniters"] = 1
            keys |= dict.fromkeys(("delay", "mininterval"), EVERY)
        super().__init__(iterable, **keys)

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:  # type: ignore[override]
        """Show where it stands. tqdm, whose types know nothing of it, wants to be told that something was shown."""
        if not self.in_lines:
            super().display(msg, pos)
        elif msg is None:
            print(" ".join(str(self).split()), file=sys.stderr, flush=True)  # tqdm pads the rate
        return True

    def note(self, **figures: str) -> None:
        """What stands behind the bar or the next line, such as the loss."""
        self.set_postfix(figures, refresh=not self.in_lines)
