"""Classification of images of which few have labels."""
