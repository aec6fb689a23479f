"""From folders of images to packed arrays: layouts, names, decoding."""
