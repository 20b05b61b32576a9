"""Groundswell: one YAML file turns STAC items and Argo profiles into analysis-ready, committed files."""

__version__ = "0.1.0"
