"""Adaptation of re-identification networks without labels. Knows no command line and no artefact's path."""
