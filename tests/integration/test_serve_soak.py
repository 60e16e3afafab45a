"""Small versions of the proofs in benchmarks/serve_soak.py."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra: serve")
if sys.platform != "linux":
    pytest.skip("the proofs read /proc", allow_module_level=True)

import serve_soak

SAMPLES = sorted((Path(__file__).resolve().parents[2] / "samples").glob("*.jpg"))


@pytest.fixture
def photos() -> list[bytes]:
    """The rendered samples."""
    return [path.read_bytes() for path in SAMPLES]


@pytest.mark.data
def test_real_photos_at_once_get_the_answers_of_batch_1(shared_dir: Path) -> None:
    assert "60 photos at once, 3 broken" in serve_soak.answers(serve_soak.photos_in(shared_dir, 60))


def test_slow_clients_do_not_starve_others(photos: list[bytes]) -> None:
    assert "200 slow bodies" in serve_soak.slow(photos, connections=200, seconds=1)


def test_sigterm_under_load_loses_nothing(photos: list[bytes]) -> None:
    assert "none lost" in serve_soak.stop(photos, clients=12)


def test_hostile_bodies_are_refused_at_their_limits(photos: list[bytes]) -> None:
    assert "20,000 files 413" in serve_soak.hostile_bodies(photos)


def test_bombs_are_not_decompressed(photos: list[bytes]) -> None:
    assert "png that claims 413" in serve_soak.bombed(photos)


def test_mutants_get_the_same_over_http_and_from_the_command_line(photos: list[bytes]) -> None:
    assert "120 mutants" in serve_soak.hostile(photos, 120)


def test_mixed_requests_are_answered_as_they_should(photos: list[bytes]) -> None:
    assert "300 requests" in serve_soak.flat(photos, requests=300, growth=1.3)
