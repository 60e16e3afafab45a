from __future__ import annotations

import os
from pathlib import Path

import pytest

from recyclenet.core import resources

GROUPS = "0::/unit\n4:cpu,cpuacct:/pod/a\n3:memory:/pod/a\n"


@pytest.fixture(autouse=True)
def groups(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A process in control groups of both versions, on a machine of 16 cores."""
    own = tmp_path / "cgroup"
    own.write_text(GROUPS)
    monkeypatch.setattr(resources, "_OWN_GROUPS", own)
    monkeypatch.setattr(resources, "_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    return tmp_path / "groups"


def write(groups: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(text)


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 16),
        ({"cpu.max": "max 100000\n"}, 16),
        ({"cpu.max": "250000 100000\n"}, 3),
        ({"unit/cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "400000 100000\n", "unit/cpu.max": "800000 100000\n"}, 4),
        ({"cpu.max": "9900000 100000\n"}, 16),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 16),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2),
        ({"cpu/pod/cpu.cfs_quota_us": "50000\n", "cpu/pod/cpu.cfs_period_us": "10000\n"}, 5),
        ({"cpu/pod/a/cpu.cfs_quota_us": "7\n", "cpu/pod/a/cpu.cfs_period_us": "0\n"}, 16),
        ({"cpu/cpu.cfs_quota_us": "200000\n"}, 16),
        ({"cpu.max": "many\n", "cpu/cpu.cfs_quota_us": "\n"}, 16),
    ],
)
def test_a_container_has_the_cores_that_its_cpu_time_fills(
    groups: Path, files: dict[str, str], cores: int
) -> None:
    write(groups, files)
    assert resources.num_cores() == cores


def test_a_process_confined_to_some_cores_has_these(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5})
    assert resources.num_cores() == 2


@pytest.mark.parametrize(("count", "cores"), [(8, 8), (None, 1)])
def test_other_systems_have_the_cores_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, groups: Path, count: int | None, cores: int
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    monkeypatch.setattr(resources, "_OWN_GROUPS", groups / "missing")
    assert resources.num_cores() == cores


@pytest.mark.parametrize(
    ("files", "limits"),
    [
        ({}, []),
        ({"memory.max": "max\n"}, []),
        ({"memory.max": "1000\n"}, [1000]),
        ({"unit/memory.max": "3000\n", "memory/memory.limit_in_bytes": "2000\n"}, [2000, 3000]),
        ({"memory/pod/a/memory.limit_in_bytes": "4000\n"}, [4000]),
    ],
)
def test_the_limits_of_memory_are_found(
    groups: Path, files: dict[str, str], limits: list[int]
) -> None:
    write(groups, files)
    assert sorted(resources.memory_limits()) == limits


@pytest.mark.parametrize("own", ["", "\n", "a:b\n", "1:cpu:relative\n", "1:cpu:/../../etc\n"])
def test_odd_lists_of_groups_end_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own: str
) -> None:
    (tmp_path / "cgroup").write_text(own)
    assert resources.num_cores() == 16
