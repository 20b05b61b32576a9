"""A plan as a table on disk: of every job, the numbers of what it is made of. A job is made anew from its row."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from pipeline.plan.adopted import ADOPTED, standing
from pipeline.plan.entries import ProductPlan, Targets, with_bands
from pipeline.plan.made import Jobs, Skips, rows_of
from pipeline.plan.rows import DAY_US, FIRST_DAY, Beside, Block, Place, Row, micros
from pipeline.types import Item, Job, MemoryPlan, Neighbour, Plan, Skip, Tile, Upstream
from pipeline.types.spooled import Spooled

_DIGEST_BYTES = 16
DONE = "already committed"


class Table:
    """Every job of a plan, product by product, and within one by tile and period."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self._rows: Spooled[tuple[Any, ...]] = Spooled()
        self._digests = bytearray()
        self._blocks: list[Block] = []
        self._named: dict[str, Block] = {}
        self._numbers: dict[tuple[str, str, str], int] = {}
        self._adopted: dict[int, str] = {}

    def begin(self, product: ProductPlan, target: Targets) -> None:
        """The jobs that are added from now on are this product's."""
        shared = next((one.tiles for one in self._blocks if one.target.tiles is target.tiles), None)
        tiles = shared if shared is not None else {tile.id: number for number, tile in enumerate(target.tiles)}
        periods = {period.id: number for number, period in enumerate(target.periods)}
        rows = array("I", bytes(4 * len(tiles) * len(periods)))
        self._blocks.append(Block(product, target, len(self._rows), tiles, periods, rows))
        self._named[product.name] = self._blocks[-1]

    @property
    def current(self) -> int:
        """Number of the product that was begun last."""
        return len(self._blocks) - 1

    def add(self, row: Row) -> None:
        """One more job of the product that was begun."""
        block = self._blocks[-1]
        number = self._rows.append(tuple(row))
        self._digests += bytes.fromhex(row.fingerprint)
        block.rows[row.tile * len(block.periods) + row.period] = number + 1

    def add_job(self, job: Job) -> None:
        """The same, of a job that is there."""
        block = self._named[job.product]
        if job.tile.id not in block.tiles:  # a product of floats finds its tiles itself
            block.target = replace(block.target, tiles=(*block.target.tiles, job.tile))
            block.tiles = {**block.tiles, job.tile.id: len(block.tiles)}
            block.rows.extend([0] * len(block.periods))
        if job.items and not self._numbers:
            self._numbers = {(one.source, one.collection, one.id): n for n, one in enumerate(self.items)}
        memory = job.memory
        self.add(
            Row(
                product=self.current,
                tile=block.tiles[job.tile.id],
                period=block.periods[job.period.id],
                fingerprint=job.fingerprint,
                memory=(memory.strip_rows, memory.peak_bytes, memory.reads, memory.carry_bytes),
                read_bytes=job.read_bytes,
                items=array("I", [self._numbers[one.source, one.collection, one.id] for one in job.items]).tobytes(),
                ahead_us=None,
                days=_days(job) if block.product.series else 1,
                region=job.region,
                upstream=array("I", [self._row_of(one) for one in job.upstream]).tobytes(),
                crossing_bytes=job.crossing_bytes,
                origins=job.origins,
            )
        )

    def _row_of(self, upstream: Upstream) -> int:
        found = self.row_at(upstream.product, upstream.tile_id, upstream.period.id)
        if found is None:
            raise LookupError(f"{upstream.job_id} is not in the plan")
        return found

    def adopt(self, product: str, places: Mapping[str, Sequence[str]]) -> None:
        """From now on these jobs of a product are what was adopted; places: fingerprints by `tile_period`."""
        block = self._named.get(product)
        if block is None or not places:
            return
        for tile, first in block.tiles.items():
            for period, second in block.periods.items():
                row, found = block.rows[first * len(block.periods) + second], places.get(f"{tile}_{period}")
                if row and found and (fingerprint := standing(block.target.tiles[first], found)) is not None:
                    self._adopted[row - 1] = fingerprint

    def split(self, committed: Mapping[str, Collection[str]]) -> tuple[Sequence[Job], Sequence[Skip]]:
        """The jobs that are left to do, and those whose fingerprint is committed for their product; both in order."""
        left, done = array("I"), array("I")
        for block in self._blocks:
            there = committed.get(block.product.name, ())
            for number in self._of(block):
                (done if there and self.fingerprint(number) in there else left).append(number)
        return Jobs(self, left), Skips(self, done)

    def some(self, plan: Plan, ids: Collection[str], *, inputs: bool = False) -> Plan:
        """A plan of this table with these of its jobs and skips alone.

        inputs: with what the jobs that are left to do are made from, and what that is made from in turn.
        """
        left, done = rows_of(plan)
        wanted = {n for numbers in (left.numbers, done.numbers) for n in numbers if self.skip(n).job_id in ids}
        if inputs:
            undone = set(left.numbers)
            new = wanted & undone
            while new:
                above = {one for n in new for one in array("I", self._row(n).upstream)}
                new = (above - wanted) & undone
                wanted |= above
        jobs, skipped = (array("I", filter(wanted.__contains__, made.numbers)) for made in (left, done))
        return replace(plan, jobs=Jobs(self, jobs), skipped=Skips(self, skipped))

    def fingerprint(self, number: int) -> str:
        """Of the job of a row, or of what was adopted in its place."""
        if number in self._adopted:
            return self._adopted[number]
        return self._digests[number * _DIGEST_BYTES : (number + 1) * _DIGEST_BYTES].hex()

    def skip(self, number: int) -> Skip:
        """A row whose job is committed."""
        return self.skip_and_place(number)[0]

    def skip_and_place(self, number: int) -> tuple[Skip, Place]:
        """The same, and where the job lies, and how much it is."""
        row = self._row(number)
        block = self._blocks[row.product]
        tile, period = block.target.tiles[row.tile], block.target.periods[row.period]
        reason = ADOPTED if number in self._adopted else DONE
        skip = Skip(f"{block.product.name}/{tile.id}/{period.id}", self.fingerprint(number), reason)
        scenes = len(row.items or row.upstream) // array("I").itemsize
        return skip, Place(tile, block.product.kind, row.region, scenes, row.read_bytes)

    def job(self, number: int) -> Job:
        """The job of a row, made anew; its items are shared with other jobs."""
        row = self._row(number)
        block = self._blocks[row.product]
        product, target = block.product, block.target
        return Job(
            product=product.name,
            kind=product.kind,
            tile=target.tiles[row.tile],
            period=target.periods[row.period],
            region=row.region,
            items=tuple(self._items(block, row)),
            fingerprint=row.fingerprint,
            memory=MemoryPlan(*row.memory),
            read_bytes=row.read_bytes,
            upstream=tuple(map(self.upstream_of, array("I", row.upstream))),
            crossing_bytes=row.crossing_bytes,
            origins=row.origins,
            neighbours=tuple(_neighbours(self, block, row)),
        )

    def upstream_of(self, number: int) -> Upstream:
        """A row as those know it that are made from it."""
        row = self._row(number)
        block = self._blocks[row.product]
        product, period = block.product, block.target.periods[row.period]
        tile_id = block.target.tiles[row.tile].id
        fingerprint = self.fingerprint(number)
        return Upstream(product.name, product.kind, tile_id, period, fingerprint, row.days, product.afloat)

    def place_of(self, number: int) -> tuple[ProductPlan, Tile, str, int]:
        """Product, tile, region and bytes read, of a row."""
        row = self._row(number)
        block = self._blocks[row.product]
        return block.product, block.target.tiles[row.tile], row.region, row.read_bytes

    def products(self) -> Iterator[tuple[str, int, int]]:
        """Of each product, its name and where its rows begin and end."""
        for block in self._blocks:
            rows = self._of(block)
            yield block.product.name, rows.start, rows.stop

    def rows_of(self, product: str) -> Sequence[int]:
        """Every row of a product."""
        return self._of(self._named[product]) if product in self._named else ()

    def row_at(self, product: str, tile_id: str, period_id: str) -> int | None:
        """The row of a product's tile and period; None without a job."""
        block = self._named.get(product)
        if block is None or tile_id not in block.tiles or period_id not in block.periods:
            return None
        row = block.rows[block.tiles[tile_id] * len(block.periods) + block.periods[period_id]]
        return row - 1 if row else None

    def rows_at(self, product: str, tile_id: str) -> list[int]:
        """The rows of a product's tile, whatever their period."""
        block = self._named.get(product)
        if block is None or tile_id not in block.tiles:
            return []
        first = block.tiles[tile_id] * len(block.periods)
        return [row - 1 for row in block.rows[first : first + len(block.periods)] if row]

    def set_beside(self, product: str, beside: Beside) -> None:
        """From now on, a product's jobs have neighbours."""
        if product in self._named:
            self._named[product].beside = beside

    def _row(self, number: int) -> Row:
        return Row._make(self._rows[number])

    def _of(self, block: Block) -> range:
        place = self._blocks.index(block)
        after = self._blocks[place + 1].first if place + 1 < len(self._blocks) else len(self._rows)
        return range(block.first, after)

    def _items(self, block: Block, row: Row) -> Iterator[Item]:
        for number in array("I", row.items):
            item = self.items[number]
            if block.product.afloat:
                yield item
                continue
            day = -1 if row.ahead_us is None else (micros(item.time) + row.ahead_us) // DAY_US
            view = block.views.get((number, day))
            if view is None:
                view = with_bands(item, block.product.bands)
                if row.ahead_us is not None:
                    view = replace(view, solar_day=date.fromordinal(FIRST_DAY + day))
                block.views[number, day] = view
            yield view


def _neighbours(table: Table, block: Block, row: Row) -> Iterator[Neighbour]:
    for side, tile in block.beside.of(row.tile) if block.beside is not None else ():
        found = block.rows[tile * len(block.periods) + row.period]
        if found:
            yield Neighbour(side, block.target.tiles[tile].id, table.fingerprint(found - 1))


def _days(job: Job) -> int:
    """Solar days of a job's scenes; of what is made from others, the most that it has of one of them."""
    each: Counter[str] = Counter()
    for one in job.upstream:
        each[one.product] += one.days
    return max([1, len({item.solar_day for item in job.items}), *each.values()])
