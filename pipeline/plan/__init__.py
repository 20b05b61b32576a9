"""What to do, decided without doing anything: no I/O, no Dask. Grids, periods, fingerprints, memory, jobs."""
