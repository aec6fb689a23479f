"""Where and how it runs: device, processes, random streams."""
