"""python -m tests.notebooks.pictures [NAME …]: runs notebooks and keeps a small picture of each beside it.

Uses the demo world of the checkout, made if it is not there; everything else is made in a folder that is forgotten.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

from tests.notebooks.running import NOTEBOOKS, ROOT, make_checkout, run_notebook

MOST_BYTES = 60_000
_TRIES = tuple((width_px, colours) for width_px in (640, 560, 480, 400, 320) for colours in (256, 128, 64))


def small(png: bytes) -> bytes:
    """The picture as wide and in as many colours as fit into 60 kB: at most 640 pixels and 256 colours."""
    whole = Image.open(io.BytesIO(png)).convert("RGB")
    for width_px, colours in _TRIES:
        picture = whole.resize((width_px, round(whole.height * width_px / whole.width)), Image.Resampling.LANCZOS)
        sink = io.BytesIO()
        picture.quantize(colours, dither=Image.Dither.NONE).save(sink, "PNG", optimize=True)
        if sink.tell() <= MOST_BYTES:
            return sink.getvalue()
    raise ValueError(f"found {sink.tell()} bytes at {width_px} pixels and {colours} colours; expected {MOST_BYTES}")


def main(names: list[str]) -> None:
    """Raises what a cell raises."""
    from pipeline.demo import build_world  # noqa: PLC0415 (only where it is used)

    build_world(ROOT / "demo-world")
    for name in names or [path.stem for path in NOTEBOOKS]:
        with tempfile.TemporaryDirectory() as folder:
            checkout = make_checkout(Path(folder) / "checkout", ROOT / "demo-world")
            picture = small(run_notebook(checkout, name).picture)
        (ROOT / "notebooks" / f"{name}.png").write_bytes(picture)
        sys.stdout.write(f"{name}.png: {len(picture) / 1000:.0f} kB\n")


if __name__ == "__main__":
    main(sys.argv[1:])
