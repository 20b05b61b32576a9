"""How much memory a process of its own has held: the beginning of a script that measures it."""

PEAK = """\
import re, resource, sys
from pathlib import Path


def peak_bytes():
    # `ru_maxrss` begins with what the parent held when this process was forked from it; Linux also says it of us alone.
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\\s+(\\d+) kB", status.read_text())[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


"""
