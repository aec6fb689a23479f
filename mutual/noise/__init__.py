"""Experiments with labels that are wrong on purpose."""
