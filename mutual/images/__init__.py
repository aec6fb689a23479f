"""From folders of images to packed arrays, their index, and views of them."""
