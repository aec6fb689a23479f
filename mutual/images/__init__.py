"""Packed images: their index, and views of them."""
