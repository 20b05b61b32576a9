"""What runs have made, opened again: datasets, items, profiles, grids, match-ups. `pipeline` has the public names."""
