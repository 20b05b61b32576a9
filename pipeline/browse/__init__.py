"""A map page over an output, read only: what `groundswell browse` serves.

A browser names products, periods, layers and places, never a file: which file that is, the current items say. Nothing
here writes, and nothing that the page needs lies anywhere else.
"""
