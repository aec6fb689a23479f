"""Curves that grow while a network trains, for `dvc plots show` and for editors, as DVCLive writes them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def live_curves(folder: Path, shown: bool = True) -> Iterator[Callable[[int, Mapping[str, float]], None]]:
    """A function (step, figures) that adds a line to ``folder/plots/metrics/<figure>.tsv`` of each figure.

    What lay there before is removed. Figures that are NaN are left out. No result depends on these files: neither git
    nor DVC keeps them, and DVC makes no experiment of them. One that is not ``shown`` writes none.
    """
    if not shown:
        yield lambda step, figures: None
        return
    from dvclive.live import Live  # takes a second to import, which other stages do without

    with Live(str(folder), save_dvc_exp=False, dvcyaml=None, report=None, monitor_system=False) as live:

        def add(step: int, figures: Mapping[str, float]) -> None:
            live.step = step
            for name, value in figures.items():
                if value == value:
                    live.log_metric(name, value)
            live.make_summary()

        yield add
