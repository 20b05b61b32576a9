"""Switches off one guard at a time, and asks whether a test fails: a guard that no test misses is not guarded itself.

`python -m tests.faults.mutations [PART OF A NAME]` changes the sources of a copy of the checkout, and takes minutes.
That the guards' tests pass with all guards on is asked first.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
COPIED = ("pipeline", "cluster", "tests", "configs", "pyproject.toml")
TIMEOUT_S = 600


@dataclass(frozen=True)
class Guard:
    """A guard, how it is switched off, and the test that must fail then."""

    name: str
    module: str
    """Path of the module that holds it."""
    on: str
    """Text that stands there exactly once."""
    off: str
    """What is put in its place."""
    test: str
    """Below `tests/`, as pytest is told."""


def _guard(name: str, change: tuple[str, str, str], test: str) -> Guard:
    return Guard(name, *change, test)


GUARDS = (
    # Commits
    _guard(
        "an item is put only where none is",
        ("pipeline/write/commit.py", "created = store.put_new(data, key)", "created = not store.put_bytes(data, key)"),
        "write/test_commit.py::test_other_files_under_the_same_fingerprint_are_refused",
    ),
    _guard(
        "a file that is no longer what was validated is not put",
        ("pipeline/write/commit.py", "if (found := path.stat().st_size) != expected:", "if (found := 0) != 0:"),
        "write/test_commit.py::test_a_file_that_shrank_is_not_committed",
    ),
    _guard(
        "a put of a folder has another name until it is whole",
        ("pipeline/write/folder.py", 'temp = target.with_name(f"{TEMP_PREFIX}{uuid.uuid4().hex}")', "temp = target"),
        "write/test_store.py::test_exception_in_the_middle_of_a_write_publishes_nothing",
    ),
    _guard(
        "a partition is replaced only as it was read",
        ("pipeline/write/folder.py", "if state_of(target) != version:", "if False:"),
        "write/test_store.py::test_a_replacement_needs_the_state_it_was_made_from",
    ),
    _guard(
        "an equal object is one's own, whose answer was lost",
        ("pipeline/write/s3.py", "return self.get_bytes(key) == data", "return False"),
        "write/test_s3.py::test_puts_outlive_lost_answers_and_refusals",
    ),
    _guard(
        "empty chunks are written",
        (
            "pipeline/write/zarr.py",
            '_coordinates),\n            config={"write_empty_chunks": True},',
            '_coordinates),\n            config={"write_empty_chunks": False},',
        ),
        "write/test_zarr.py::test_a_tile_without_data_has_every_chunk",
    ),
    # Inputs
    _guard(
        "a file that was cut is no file",
        ("pipeline/read/geotiff.py", "if np.any(cut):", "if False:"),
        "faults/test_inputs.py::test_a_cut_file_is_no_file_even_where_its_overviews_are_whole",
    ),
    _guard(
        "hrefs are refused",
        ("pipeline/read/access.py", "if bad is not None:", "if False:"),
        "faults/test_hostile.py::test_a_hostile_href_costs_its_asset_and_nothing_is_opened",
    ),
    _guard(
        "a block has a largest size",
        ("pipeline/read/place.py", "if size_bytes > _MAX_BLOCK_BYTES:", "if False:"),
        "faults/test_hostile.py::test_a_decompression_bomb_is_refused_before_anything_is_allocated",
    ),
    _guard(
        "a window has a largest size",
        ("pipeline/read/place.py", "if size_bytes > _MAX_WINDOW_BYTES:", "if False:"),
        "faults/test_hostile.py::test_a_window_that_no_worker_could_hold_is_refused_before_it_is_read",
    ),
    _guard(
        "more loss than is allowed fails the job",
        (
            "pipeline/products/_base.py",
            "if self._weight > self._context.max_missing_fraction * self._expected:",
            "if False:",
        ),
        "faults/test_bad_inputs.py::test_more_loss_than_allowed_fails_the_job_and_names_every_loss",
    ),
    _guard(
        "a file that changes while it is read is an error",
        (
            "pipeline/read/fetch.py",
            "if found != version:\n            raise ChangedError",
            "if False:\n            raise ChangedError",
        ),
        "read/test_fetch.py::test_a_file_that_changes_on_a_disk_is_an_error",
    ),
    # Configs and secrets
    _guard(
        "unknown keys are refused",
        ("pipeline/config/section.py", 'extra="forbid"', 'extra="ignore"'),
        "faults/test_secrets.py::test_every_other_fault_of_a_config_is_named_at_once_with_file_line_and_key",
    ),
    _guard(
        "what is printed and recorded is searched for secrets",
        (
            "pipeline/read/access.py",
            "def redact(text: str) -> str:",
            "def redact(text: str) -> str:\n    return text\n\n\ndef _redact(text: str) -> str:",
        ),
        "read/test_access.py::test_redacted_text_has_no_signature",
    ),
    # Two runs, clean-ups and repairs
    _guard(
        "what a live run has claimed is not made",
        (
            "pipeline/execute/records/claims.py",
            "if other is not None and other.run != run_id and _lives(store, other.run):",
            "if False:",
        ),
        "execute/records/test_claims.py::test_of_many_runs_at_once_one_makes_a_job",
    ),
    _guard(
        "what was committed meanwhile is not made",
        ("pipeline/execute/records/claims.py", "if not _committed(store, job, afloat=afloat):", "if True:"),
        "execute/records/test_claims.py::test_what_was_committed_meanwhile_is_done_and_leaves_no_claim",
    ),
    _guard(
        "what a live run counts on is kept",
        ("pipeline/verbs/_leftovers.py", "live = [run for run in runs if run.live]", "live = []"),
        "verbs/test_vacuum.py::test_nothing_of_a_live_run_goes",
    ),
    _guard(
        "a claim that was taken over is kept",
        ("pipeline/verbs/vacuum.py", "if store.entry_of(entry.key) == entry:", "if True:"),
        "verbs/test_vacuum_claims.py::test_a_claim_that_was_taken_over_meanwhile_stays",
    ),
    _guard(
        "nothing is withdrawn from under a run",
        ("pipeline/verbs/_repair.py", "        if held:\n", "        if False:\n"),
        "verbs/test_repair.py::test_nothing_is_withdrawn_from_under_others",
    ),
    _guard(
        "what cannot be read now is not withdrawn",
        (
            "pipeline/write/sound.py",
            '"an object that can be read", Remedy.READ)',
            '"an object that can be read", Remedy.WITHDRAW)',
        ),
        "verbs/test_repair.py::test_nothing_is_withdrawn_for_a_store_that_does_not_answer",
    ),
    _guard(
        "every byte is compared",
        ("pipeline/write/sound.py", "if digest != wanted[1]:", "if False:"),
        "verbs/test_verify.py::test_no_byte_is_changed_unseen",
    ),
    _guard(
        "a folder holds what its list says",
        (
            "pipeline/write/sound.py",
            'for one in listing.under(f"{folder}/") if one not in expected]',
            "for one in () if one not in expected]",
        ),
        "verbs/test_verify.py::test_a_chunk_that_nobody_lists_is_a_fault",
    ),
    _guard(
        "no row is taken over from a damaged table",
        ("pipeline/verbs/_repair.py", "if is_partition(fault.key)})", "if False})"),
        "verbs/test_repair_floats.py::test_a_damaged_table_is_made_again_from_its_files",
    ),
    # Records
    _guard(
        "a line of a journal is what was written",
        ("pipeline/execute/records/lines.py", "if zlib.crc32(line) != int(checked[1], 16):", "if False:"),
        "execute/records/test_lines.py::test_any_flipped_bit_is_found_and_costs_one_record",
    ),
    _guard(
        "an interrupted run decides nothing",
        ("pipeline/execute/records/runs.py", 'if key.endswith(f"/{FINISHED}")', 'if key.endswith("/plan.jsonl")'),
        "execute/records/test_runs.py::test_an_interrupted_run_decides_nothing",
    ),
)


def main(part: str = "") -> int:
    """Print a line for each guard; 1 where one can be switched off without a test that fails."""
    chosen = [guard for guard in GUARDS if part in guard.name]
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        copy = Path(folder, "checkout")
        for name in COPIED:
            source = CHECKOUT / name
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, copy / name, ignore=ignored) if source.is_dir() else shutil.copy(
                source, copy / name
            )
        code, said = _test(copy, *(guard.test for guard in chosen))
        if code:
            sys.stdout.write(
                f"with all guards on their tests end with {code}, expected 0; nothing can be said:\n{said}"
            )
            return 1
        missed = [_missed(guard, copy) for guard in chosen]
    sys.stdout.write(f"{sum(missed)} of {len(missed)} guards are missed by their test when switched off\n")
    return 0 if all(missed) else 1


def _missed(guard: Guard, copy: Path) -> bool:
    """Whether the guard's test fails without it."""
    path, began = copy / guard.module, time.monotonic()
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.replace(guard.on, guard.off), encoding="utf-8")
    code, _ = _test(copy, guard.test)
    path.write_text(whole, encoding="utf-8")
    said = "missed" if code == 1 else f"NOT MISSED (exit code {code} of its test)"
    sys.stdout.write(f"{said}: {guard.name}: {guard.test} ({time.monotonic() - began:.0f} s)\n")
    sys.stdout.flush()
    return code == 1


def _test(copy: Path, *tests: str) -> tuple[int, str]:
    """How pytest ends (0 passed, 1 failed; anything else is no answer), and what it says."""
    places = [f"tests/{test}" for test in tests]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *places]
    environ = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(
        command, cwd=copy, env=environ, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    return ended.returncode, ended.stdout[-3000:]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
