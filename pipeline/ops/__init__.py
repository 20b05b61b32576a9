"""Pixels to pixels: masks, radiometric offsets, composites, indices. No I/O, no knowledge of files or jobs."""
