"""What can be asked of a config or an output besides a run: one module a verb, each a `run(options) -> Answer`."""
