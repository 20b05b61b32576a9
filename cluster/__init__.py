"""Where work runs: one Dask cluster per region, rendered before it is opened. Knows nothing of the pipeline."""
