"""The library below the stages: it knows no command line, no params.yaml and no fixed path."""
