"""Tests of the pipeline. A package, so that pytest puts the project's top folder on the import path."""
