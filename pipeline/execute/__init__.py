"""Doing the plan: jobs in flight, retries, the journal and live progress."""
