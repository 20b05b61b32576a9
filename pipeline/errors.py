"""The error tree: what failed, and therefore what a handler should do about it.

    GroundswellError                 every error this project raises on purpose; `exit_code` is what a run ends with
    ├── ConfigError                  the YAML file or the command line is wrong: fix it (exit 2)
    ├── PreflightError               nothing was started: output not writable, no credentials, no cluster (exit 3)
    ├── NothingToDoError             input was required and there was none (exit 5)
    ├── ClaimedError                 all that is left to do is being done by another run (exit 4)
    ├── CatalogError                 a catalogue cannot be read or is not STAC (exit 3: the plan was never made)
    ├── RefusedError                 an event's message not taken, in `pipeline.events.refusals`; others go on
    ├── PlanRefusedError             the plan cannot run as asked (exit 3)
    │   └── MemoryRefusedError       one strip of a job does not fit a worker
    └── JobError                     one job failed; the others go on (exit 1)
        ├── AssetError               one input file; the `missing_assets` policy decides whether the job goes on
        │   ├── TransientAssetError  worth another attempt: time-outs, HTTP 429 and 5xx, cut connections
        │   └── PermanentAssetError  another attempt gives the same: 404, not a raster, damaged, no CRS
        ├── MissingAssetsError       more inputs lost than `missing_assets` allows
        ├── QualityError             a finished tile is worse than `quality` allows; nothing was committed
        ├── MisalignedError          a layer that a job is made from is not on the tile's own grid
        ├── OutputError              an output file failed its own validation before upload
        ├── DeadlineError            an attempt took longer than `run.job_timeout_s`; its worker was ended
        ├── PoisonError              a job that ends every worker that it is given to
        ├── ClusterLostError         a region has no cluster any more
        └── StoreError               the output store refused or lost a request
            ├── CredentialsError     the credentials ran out or were withdrawn: no job can succeed any more
            └── TransientStoreError  worth another attempt
                └── MovedError       what was to be replaced is no longer what it was: made again at once

Rule: an error names what was found, what was expected, which job, item, file or key, and how to fix it.
"""

from __future__ import annotations

EXIT_DONE = 0
EXIT_JOBS_FAILED = 1
EXIT_BAD_CONFIG = 2
EXIT_PREFLIGHT = 3
EXIT_CLAIMED = 4
EXIT_NOTHING_TO_DO = 5
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class GroundswellError(Exception):
    """Every error raised on purpose; the message alone must let the reader act."""

    exit_code = EXIT_JOBS_FAILED


class ConfigError(GroundswellError):
    """The configuration or the command line is wrong; the message lists every fault with file, line and key path."""

    exit_code = EXIT_BAD_CONFIG


class PreflightError(GroundswellError):
    """Nothing was started because it could not have ended well."""

    exit_code = EXIT_PREFLIGHT


class NothingToDoError(GroundswellError):
    """Input was required and there was none."""

    exit_code = EXIT_NOTHING_TO_DO


class CatalogError(GroundswellError):
    """A catalogue cannot be read, or what it holds is not STAC."""

    exit_code = EXIT_PREFLIGHT


class PlanRefusedError(GroundswellError):
    """The plan cannot run as asked; the message says by how many bytes and which key changes it."""

    exit_code = EXIT_PREFLIGHT


class MemoryRefusedError(PlanRefusedError):
    """Not even one strip of a job fits a task of its region; says how many bytes would be enough, and knows it."""

    def __init__(self, message: str, needed_bytes: int, region: str = "") -> None:
        super().__init__(message)
        self.needed_bytes, self.region = needed_bytes, region

    def of(self, job_id: str, region: str) -> MemoryRefusedError:
        """The same, of a job by name."""
        told = str(self).replace("<region>", region)
        return MemoryRefusedError(f"{job_id} in region {region}: {told}", self.needed_bytes, region)


class ClaimedError(GroundswellError):
    """All jobs that are left are being made by another run; the message names it, its process and its age."""

    exit_code = EXIT_CLAIMED


class JobError(GroundswellError):
    """One job failed; it is named, and no other job stops because of it."""


class AssetError(JobError):
    """One input file could not give its pixels; carries what the ledger records of it."""

    def __init__(self, href: str, cause: str, *, item: str = "", asset: str = "", attempts: int = 1) -> None:
        self.href, self.cause, self.item, self.asset, self.attempts = href, cause, item, asset, attempts
        where = f"item {item}, asset {asset}: " if item else ""
        super().__init__(f"{where}{href}: {cause}")

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_asset_error, (type(self), self.href, self.cause, self.item, self.asset, self.attempts)


class TransientAssetError(AssetError):
    """Worth another attempt."""


class PermanentAssetError(AssetError):
    """Another attempt would give the same."""


class MissingAssetsError(JobError):
    """More of a job's inputs were lost than its `missing_assets` policy allows; says whether the causes may pass."""

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


class QualityError(JobError):
    """A finished tile is worse than the `quality` limits allow; nothing was committed."""


class MisalignedError(JobError):
    """A layer of another product is not on the tile's own grid: nothing is ever resampled a second time."""


class OutputError(JobError):
    """An output file failed its own validation; nothing was uploaded."""


class StoreError(JobError):
    """The output store refused or lost a request; the message names bucket or folder, key and operation."""


class DeadlineError(JobError):
    """An attempt took longer than `run.job_timeout_s`; its worker was ended, and nothing was committed."""


class PoisonError(JobError):
    """A job that ends every worker that it is given to; it is set aside, with its command to replay it."""


class ClusterLostError(JobError):
    """The job's region lost its cluster, as often as `run.cluster_restarts` allows."""


class CredentialsError(StoreError):
    """The credentials ran out or were withdrawn, and fresh ones were refused as well: the whole run stops."""


class TransientStoreError(StoreError):
    """Worth another attempt."""


class MovedError(TransientStoreError):
    """A partition was replaced between being read and being put: the loser reads it again and merges."""


def _rebuild_asset_error(
    kind: type[AssetError], href: str, cause: str, item: str, asset: str, attempts: int
) -> AssetError:
    return kind(href, cause, item=item, asset=asset, attempts=attempts)
