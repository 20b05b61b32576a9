"""Files, the store they go to, and the commit: see `commit.py`, the only place that publishes."""
