"""The stages of the pipeline: each module is one entry point, run as ``python -m stages.<name>``."""

from mutual.base.errors import run
from mutual.machine.threads import settle

run(settle)  # here, since a library reads how many threads it may use when it loads
