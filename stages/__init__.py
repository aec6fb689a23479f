"""The stages of the pipeline: each module is one entry point, run as ``python -m stages.<name>``."""
