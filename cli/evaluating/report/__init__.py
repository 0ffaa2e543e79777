"""An evaluation as one HTML file, which needs nothing else."""
