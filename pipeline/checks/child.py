"""The process in which objects are read: `python -m pipeline.checks.child`, until its input ends.

Libraries never return from some damaged files, crash on others, or ask for all memory there is; here that costs one
file its verdict. One line of JSON is asked, one answered; whatever libraries print goes to standard error.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path

from pipeline.checks.check import Checker
from pipeline.checks.checksums import Checksum
from pipeline.checks.result import Subject, to_json
from pipeline.config.checks import CheckConfig
from pipeline.types import Json

_SPARE_BYTES = 2 << 30
"""Of addresses, beside what an object may take: libraries that are loaded with it, and their threads."""
_LONGEST_WAIT = 10
"""Times the seconds of computing that may go by before a reader counts as stuck."""


def limit(config: CheckConfig) -> None:
    """What the next object may take; the system ends the process where it takes more."""
    with suppress(OSError, ValueError):  # not every system can
        held = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        most = held + config.memory + _SPARE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))
    with suppress(OSError, ValueError):
        used = resource.getrusage(resource.RUSAGE_SELF)
        most_s = int(used.ru_utime + used.ru_stime + config.cpu_s) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (most_s, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    signal.alarm(int(config.cpu_s * _LONGEST_WAIT) + 60)


def answer(asked: dict[str, Json], checkers: dict[str, Checker]) -> Json:
    """The result of one object, as JSON values; or what stood in the way, which says nothing about the object."""
    said = asked["check"]
    checker = checkers.setdefault(said, Checker(CheckConfig.model_validate_json(said)))
    limit(checker.config)
    subject = Subject(**asked["subject"])
    checksums = [Checksum(*each) for each in asked["checksums"]]
    try:
        result = checker.run(subject, Path(asked["path"]), checksums, Path(asked["scratch"]))
    except MemoryError:
        return {"memory": checker.config.memory}
    except OSError as error:
        return {"lost": f"{type(error).__name__}: {error}"}
    except ImportError:
        raise
    except Exception as error:  # noqa: BLE001 (whatever a library raises for a stranger's file is that file's verdict)
        return {"broken": f"{type(error).__name__}: {error}"}
    finally:
        signal.alarm(0)
    return {"result": to_json(result)}


def main() -> None:
    """Answer until nobody asks any more."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    checkers: dict[str, Checker] = {}
    for line in sys.stdin:
        answers.write(json.dumps(answer(json.loads(line), checkers)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
