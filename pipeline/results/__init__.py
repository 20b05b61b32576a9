"""What runs have made, opened as one lazy Dataset: `open_results(uri)`."""

from pipeline.results.open import open_results

__all__ = ["open_results"]
