"""What runs on a worker: a group of jobs, each up to its own commit."""
