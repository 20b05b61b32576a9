"""Reading: one asset window at a time, and the lazy cube made of them. Same pixels on both paths."""
