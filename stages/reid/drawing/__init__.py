"""The demo's drawing: people, backdrops and what a camera makes of them. Only ``stages.reid.demo`` uses it."""
