"""How every command ends: its exit code, and what it says of an error; the standard library alone."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable

from pipeline.errors import EXIT_INTERRUPTED, EXIT_PREFLIGHT, GroundswellError, StoreError

EXIT_UNREAD = 141
"""As a shell says of a program that wrote to a closed pipe."""


def end(do: Callable[[], int], interrupted: str = "interrupted") -> int:
    """The exit code of `do`, or of the error that it raised, which is then told on stderr in one sentence."""
    try:
        return do()
    except StoreError as error:  # outside a job: the output itself cannot be used
        code, message = EXIT_PREFLIGHT, f"output: {error}"
    except GroundswellError as error:
        code, message = error.exit_code, str(error)
    except ModuleNotFoundError as error:
        if (extra := _extra_of(error.name or "")) is None:
            raise
        code = EXIT_PREFLIGHT
        message = f"found no package {error.name}; expected the extra `{extra}`: pip install 'groundswell[{extra}]'"
    except BrokenPipeError:
        # Whoever read the answer has seen enough, such as `head`; what is left in the buffer may go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_UNREAD
    except OSError as error:  # of this machine's own disk: what a store refuses is a StoreError
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        code, message = EXIT_PREFLIGHT, f"{error}: free some of this machine's disk, or set TMPDIR to a larger one"
    except KeyboardInterrupt as error:  # of a run: while nothing ran yet, or the second signal
        code, message = (*error.args, EXIT_INTERRUPTED)[0], interrupted
    sys.stderr.write(f"error: {message}\n")
    return code


def _extra_of(module: str) -> str | None:
    """The extra that brings a package; None for one that is no extra's, which is then a fault of the project."""
    from importlib.metadata import PackageNotFoundError, requires  # noqa: PLC0415 (only for an error)

    try:
        wanted = requires("groundswell") or []
    except PackageNotFoundError:  # not installed: a checkout alone
        return None
    plain = module.partition(".")[0].replace("_", "-").lower()
    for line in wanted:
        name = re.split(r"[^\w.-]", line, maxsplit=1)[0].replace("_", "-").lower()
        extra = re.search(r"""extra\s*==\s*['"]([\w-]+)['"]""", line)
        if name == plain and extra and extra[1] != "dev":
            return extra[1]
    return None
