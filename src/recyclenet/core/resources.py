"""The cores and the memory that this process may use: the machine's, or those of a container."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_OWN_GROUPS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")


def num_cores() -> int:
    """Return the number of cores that this process may use, 1 or more.

    The scheduler may confine it to some cores (`taskset`), and a container to a share of CPU time
    (`docker run --cpus`), which is rounded up to whole cores.
    """
    confined = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    cores = len(confined(0)) if confined else os.cpu_count() or 1
    return max(1, min([cores, *(math.ceil(quota) for quota in _cpu_quotas())]))


def memory_limits() -> Iterator[int]:
    """Yield the limits of memory that containers set, bytes; nothing without a container."""
    for group in _control_groups("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            with suppress(OSError, ValueError):  # no such file, or no limit ("max")
                yield int((group / name).read_text())


def _cpu_quotas() -> Iterator[float]:
    """Yield the shares of CPU time that containers allow, 1.0 for one core."""
    for group in _control_groups("cpu"):
        for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
            with suppress(OSError, ValueError):  # no such file, or no limit ("max")
                quota, period = " ".join((group / name).read_text() for name in names).split()
                if int(quota) > 0 and int(period) > 0:  # version 1: -1 for no limit
                    yield int(quota) / int(period)


def _control_groups(controller: str) -> Iterator[Path]:
    """Yield the folders of this process's Linux control groups, versions 2 and 1, and of those
    around them.
    """
    roots = {"": _GROUPS, controller: _GROUPS / controller}
    yield from roots.values()
    with suppress(OSError, ValueError):
        for line in _OWN_GROUPS.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for name in {"", controller}.intersection(controllers.split(",")):
                group = roots[name]
                for part in Path(path).parts[1:]:
                    group /= part
                    yield group
