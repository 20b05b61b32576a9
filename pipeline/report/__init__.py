"""What a person reads: the plan before, the summary after."""
