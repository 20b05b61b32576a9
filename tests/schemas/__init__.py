"""Pinned JSON Schemas of STAC and its extensions, and a validator that never uses the network."""
