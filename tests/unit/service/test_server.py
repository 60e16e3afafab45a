from __future__ import annotations

import pytest

pytest.importorskip("fastapi", reason="needs the extra: serve")
pytest.importorskip("resource", reason="Windows has no such limit")
import resource

from recyclenet.service.server import OTHER_FILES, room_for


@pytest.mark.parametrize(
    ("limits", "room", "raised"),
    [
        ((1024, 4096), 512, None),
        ((256, 4096), 512, 512 + OTHER_FILES),
        ((256, 300), 300 - OTHER_FILES, 300),
        ((256, resource.RLIM_INFINITY), 512, 512 + OTHER_FILES),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), 512, None),
        ((16, 16), 1, 16),
    ],
)
def test_no_more_connections_than_open_files(
    limits: tuple[int, int], room: int, raised: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, change: changes.append(change))
    assert room_for(512) == room
    assert changes == ([] if raised is None else [(raised, limits[1])])
