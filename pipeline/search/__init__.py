"""What exists: catalogues read once per source and period, items normalised, the run's snapshot."""
