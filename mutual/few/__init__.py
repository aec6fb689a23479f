"""Few labels: what classification and segmentation with them have in common."""
