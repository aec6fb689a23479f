"""The page that shows what came out: ranked lists, curves, clusters, a map of the features; one file, no network."""
