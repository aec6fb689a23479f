"""Features, rankings, accuracy."""
