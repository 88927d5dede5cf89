"""Pictures of runs and results, as SVG files that need nothing else."""
