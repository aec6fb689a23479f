"""What every room uses: errors, artefacts on disk, parameters."""
