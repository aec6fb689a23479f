"""Semantic segmentation: pictures of any size with a label for each pixel, networks' views of them, losses, figures."""
