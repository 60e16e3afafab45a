from __future__ import annotations

import numpy as np
import pytest

from recyclenet.core.masks import connected, frame, quadratic_terms


def mask(*rows: str) -> np.ndarray:
    return np.array([[mark == "#" for mark in row] for row in rows])


def test_what_a_seed_reaches_by_sides_is_connected():
    free = mask("##.#", ".#.#", ".##.", "#..#")
    seeds = np.zeros_like(free)
    seeds[0, 0] = seeds[2, 0] = True  # the second is not free
    assert (connected(seeds, free) == mask("##..", ".#..", ".##.", "....")).all()
    assert not connected(np.zeros_like(free), free).any()


@pytest.mark.parametrize("seed", range(20))
def test_connected_agrees_with_a_flood_fill(seed):
    random = np.random.default_rng(seed)
    free = random.random((13, 9)) < 0.6
    seeds = random.random((13, 9)) < 0.05
    reached = {(int(y), int(x)) for y, x in np.argwhere(seeds & free)}
    edge = list(reached)
    while edge:
        y, x = edge.pop()
        for place in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            inside = 0 <= place[0] < 13 and 0 <= place[1] < 9
            if inside and free[place] and place not in reached:
                reached.add(place)
                edge.append(place)
    assert {(int(y), int(x)) for y, x in np.argwhere(connected(seeds, free))} == reached


def test_a_frame_has_its_thickness():
    assert (frame(4, 5, 1) == mask("#####", "#...#", "#...#", "#####")).all()


def test_a_quadratic_surface_is_fitted_exactly():
    x, y = np.meshgrid(np.linspace(0, 1, 6), np.linspace(0, 1, 5))
    surface = 3 - x + 2 * y + 4 * x * y - y * y
    weights = np.linalg.lstsq(quadratic_terms(x, y).reshape(-1, 6), surface.ravel(), rcond=None)[0]
    assert weights == pytest.approx([3, -1, 2, 0, 4, -1])
