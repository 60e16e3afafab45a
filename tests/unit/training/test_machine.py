from __future__ import annotations

import pytest
import torch

from recyclenet.errors import UsageError
from recyclenet.training import machine
from recyclenet.training.machine import Devices, find_devices


@pytest.fixture(autouse=True)
def four_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 4)
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
        with pytest.raises(UsageError, match=r"set fit.batch_size"):
            Devices((0, 1), 2).check(batch_size)
