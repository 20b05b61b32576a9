"""The version of this project: items and journals name it."""

__version__ = "0.1.0"
