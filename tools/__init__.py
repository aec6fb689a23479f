"""Run by hand, beside the pipeline: each module is one command, ``python -m tools.<name>``."""
