"""A small invented world to try everything on, offline and always the same: `python -m pipeline.demo [FOLDER]`."""

from pipeline.demo.land import BANDS
from pipeline.demo.radar import demo_backscatter
from pipeline.demo.relief import demo_heights
from pipeline.demo.scenes import demo_truth
from pipeline.demo.world import World, build_world

__all__ = ["BANDS", "World", "build_world", "demo_backscatter", "demo_heights", "demo_truth"]
