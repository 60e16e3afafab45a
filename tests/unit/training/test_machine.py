from __future__ import annotations

import psutil
import pytest
import torch

from recyclenet.errors import UsageError
from recyclenet.training import machine
from recyclenet.training.machine import Devices, find_devices
from recyclenet.training.recipe import Recipe


@pytest.fixture(autouse=True)
def four_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setattr(machine, "num_cores", lambda: 4)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


@pytest.mark.parametrize(
    ("wanted", "numbers"), [(None, (0,)), ("1", (0,)), ("2", (0, 1)), ("1,3", (1, 3))]
)
def test_devices_by_number_or_by_name(wanted: str | None, numbers: tuple[int, ...]) -> None:
    assert find_devices(wanted) == Devices(numbers)


@pytest.mark.parametrize("wanted", ["0", "two", "1,1", "-1", "", "1,", "8", "0,4"])
def test_devices_that_are_not_there_are_refused(wanted: str) -> None:
    with pytest.raises(UsageError, match="--devices"):
        find_devices(wanted)


def test_torchrun_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "run")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("WORLD_SIZE", "6")
    assert find_devices(None) == Devices((0, 1), 3)
    with pytest.raises(UsageError, match="leave --devices out"):
        find_devices("2")


def test_a_batch_is_shared_evenly() -> None:
    Devices((0, 1), 2).check(32)
    for batch_size in (30, 4):
        with pytest.raises(UsageError, match=r"set fit.batch_size to a multiple"):
            Devices((0, 1), 2).check(batch_size)


@pytest.mark.parametrize(
    ("cuda", "mps", "expected", "workers"),
    [(True, False, "cuda", 4), (False, True, "mps", 4), (False, False, "cpu", 0)],
)
def test_a_simulated_machine_gets_its_device_and_its_workers(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, expected: str, workers: int
) -> None:
    """No such machine is at hand: PyTorch's answers are replaced."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert machine.device() == expected
    assert machine.num_workers() == workers
    found = machine.precision(Recipe())
    assert found == "bf16" if expected == "cuda" else found in ("bf16", "float32")
    assert machine.precision(Recipe()) == "float32" or expected != "mps"


@pytest.mark.parametrize("limits", [[], [10**18], [10**18, 10**6]])
def test_the_memory_of_a_container_counts(
    monkeypatch: pytest.MonkeyPatch, limits: list[int]
) -> None:
    monkeypatch.setattr(machine, "memory_limits", lambda: limits)
    expected = min([int(psutil.virtual_memory().total), *limits])
    assert machine.memory_bytes() == expected > 10**5


def test_a_container_has_its_own_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(8)
        machine.prepare_process()
        assert torch.get_num_threads() == 4
        torch.set_num_threads(3)
        machine.prepare_process()
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_a_system_without_glibc_trains_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(machine.ctypes, "CDLL", missing)
    machine.keep_freed_memory()
