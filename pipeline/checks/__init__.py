"""Data-quality checks of single objects: what the data must be like, what was found, and a verdict."""
