"""Rounds and experiments side by side."""
