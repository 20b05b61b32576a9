"""The work that events start: runs of exactly the jobs that are touched, and checks of data."""
