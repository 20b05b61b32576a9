"""The whole account of a run, read from its records: what reports, status and notebooks show."""
