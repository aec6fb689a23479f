"""What all entry points, stages and tools, have in common: how they answer ``--help``.

Beside it each begins with two lines of its own, before any import of the project can fail: run by its path or from
another folder than the top, a file is no part of a package, and says in one line how it is meant to be run.
"""

import argparse

AFTER = "the round that it goes on from; torchrun takes --start for an option of its own"


def arguments(doc: str | None, module: str) -> argparse.ArgumentParser:
    """A parser whose ``--help`` is the docstring ``doc`` of an entry point, run as ``python -m <module>``."""
    return argparse.ArgumentParser(
        prog=f"python -m {module}", description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
