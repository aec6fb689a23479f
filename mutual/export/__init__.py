"""Networks for elsewhere: from images to features in one file, without this project."""
