"""Run by hand, beside the pipeline: each module is one command, ``python -m tools.<name>``."""

from mutual.base.errors import run
from mutual.base.threads import settle

run(settle)  # here, since a library reads how many threads it may use when it loads
