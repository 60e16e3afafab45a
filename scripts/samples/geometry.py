"""Meshes made from numpy arrays: lathed profiles, sheets, folds, dents and corrugated board.

Lengths are centimetres, z points up and the table top is the plane z = 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rng = np.random.Generator


@dataclass
class Mesh:
    """Triangles with texture coordinates; ``flat`` asks for faceted shading."""

    verts: Array
    faces: NDArray[np.int32]
    uvs: Array
    flat: bool = False

    def normals(self) -> Array:
        """Area-weighted vertex normals, shared by vertices at the same place."""
        a, b, c = (self.verts[self.faces[:, i]] for i in range(3))
        face_normal = np.cross(b - a, c - a)
        keys = np.round(self.verts * 2000).astype(np.int64)
        _, group = np.unique(keys, axis=0, return_inverse=True)
        group = group.reshape(-1)
        total = np.zeros((int(group.max()) + 1, 3))
        for i in range(3):
            ids = group[self.faces[:, i]]
            for axis in range(3):
                total[:, axis] += np.bincount(ids, face_normal[:, axis], len(total))
        normal = total[group]
        length = np.linalg.norm(normal, axis=1, keepdims=True)
        return np.asarray(normal / np.maximum(length, 1e-12))

    def write_ply(self, path: Path) -> None:
        """Write a little-endian binary PLY file."""
        columns = [("x", "y", "z"), ("u", "v")]
        data = [self.verts, self.uvs]
        if not self.flat:
            columns.insert(1, ("nx", "ny", "nz"))
            data.insert(1, self.normals())
        names = [name for group in columns for name in group]
        face = np.empty(len(self.faces), dtype=[("n", "u1"), ("i", "<i4", (3,))])
        face["n"], face["i"] = 3, self.faces
        header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(self.verts)}"]
        header += [f"property float {name}" for name in names]
        header += [f"element face {len(face)}", "property list uchar int vertex_indices"]
        with path.open("wb") as out:
            out.write(("\n".join([*header, "end_header"]) + "\n").encode())
            out.write(np.hstack(data).astype("<f4").tobytes())
            out.write(face.tobytes())


def unit(vector: Array) -> Array:
    """Scale vectors (last axis) to length one."""
    return np.asarray(vector / np.linalg.norm(vector, axis=-1, keepdims=True))


def grid(points: Array, uv: Array, mask: NDArray[np.bool_] | None = None) -> Mesh:
    """Triangulate an (n, m, 3) array of points; cells with a masked-out corner are dropped."""
    n, m = points.shape[:2]
    ids = np.arange(n * m, dtype=np.int32).reshape(n, m)
    a, b, c, d = ids[:-1, :-1], ids[:-1, 1:], ids[1:, 1:], ids[1:, :-1]
    faces = np.stack([np.stack([a, b, c], -1), np.stack([a, c, d], -1)], 2)
    if mask is not None:
        keep = mask[:-1, :-1] & mask[:-1, 1:] & mask[1:, 1:] & mask[1:, :-1]
        faces = faces[keep]
    return Mesh(points.reshape(-1, 3), faces.reshape(-1, 3), uv.reshape(-1, 2))


def sheet(width: float, height: float, step: float) -> tuple[Array, Array]:
    """Points (n, m, 3) of a flat centred sheet in the plane z = 0 and their texture coordinates."""
    u, v = np.meshgrid(
        np.linspace(0, 1, int(width / step) + 1), np.linspace(0, 1, int(height / step) + 1)
    )
    points = np.stack([(u - 0.5) * width, (v - 0.5) * height, np.zeros_like(u)], -1)
    return points, np.stack([u, v], -1)


def round_profile(points: list[tuple[float, float]], step: float = 0.25, cuts: int = 3) -> Array:
    """Resample a polyline densely, then round its corners by repeated corner cutting."""
    corners = np.array(points, dtype=float)
    pieces = []
    for a, b in pairwise(corners):
        count = max(1, int(np.ceil(np.linalg.norm(b - a) / step)))
        pieces.append(a + (b - a) * np.arange(count)[:, None] / count)
    line = np.vstack([*pieces, corners[-1:]])
    for _ in range(cuts):
        q = 0.75 * line[:-1] + 0.25 * line[1:]
        r = 0.25 * line[:-1] + 0.75 * line[1:]
        line = np.vstack([line[:1], np.stack([q, r], 1).reshape(-1, 2), line[-1:]])
        line = line[::2] if len(line) > 1200 else line
    return line


def lathe(profile: Array, span: tuple[float, float] = (0.0, 360.0), segments: int = 200) -> Mesh:
    """Turn an (r, z) profile about the z axis; u follows the angle, v the height."""
    theta = np.radians(np.linspace(*span, segments + 1))
    r, z = profile[:, :1], profile[:, 1:]
    points = np.stack([r * np.cos(theta), r * np.sin(theta), z + 0 * theta], -1)
    low, high = float(z.min()), float(z.max())
    v = (z - low) / max(high - low, 1e-9)
    u = np.broadcast_to(np.linspace(0, 1, segments + 1), points.shape[:2])
    return grid(points, np.stack([u, np.broadcast_to(v, u.shape)], -1))


def shell(profile: Array, wall: float) -> Array:
    """Close an outward (r, z) profile that runs from base to mouth into a wall of a thickness."""
    tangent = unit(np.gradient(profile, axis=0))
    inner = profile - wall * np.stack([tangent[:, 1], -tangent[:, 0]], -1)
    inner[:, 0] = np.where(profile[:, 0] < 1e-6, 0.0, np.maximum(inner[:, 0], 0.0))
    return np.vstack([profile, inner[::-1]])


def tube(path: Array, radius: float | Array, segments: int = 32) -> Mesh:
    """Sweep a circle along a path (n, 3)."""
    tangent = unit(np.gradient(path, axis=0))
    side = np.cross(tangent, [0.3, 0.2, 0.93])
    side = unit(side)
    up = np.cross(tangent, side)
    theta = np.linspace(0, 2 * np.pi, segments + 1)[None, :, None]
    rad = np.broadcast_to(np.asarray(radius, dtype=float), (len(path),))[:, None, None]
    ring = np.cos(theta) * side[:, None] + np.sin(theta) * up[:, None]
    points = path[:, None] + rad * ring
    u, v = np.meshgrid(np.linspace(0, 1, segments + 1), np.linspace(0, 1, len(path)))
    return grid(points, np.stack([u, v], -1))


def disc(radius: float, z: float, stretch: float = 1.0, power: float = 2.0) -> Mesh:
    """A flat (super)ellipse facing up."""
    theta = np.linspace(0, 2 * np.pi, 97)
    c, s = np.cos(theta), np.sin(theta)
    size = radius / (np.abs(c) ** power + np.abs(s) ** power) ** (1 / power)
    rim = np.stack([size * c * stretch, size * s, np.full_like(c, z)], -1)
    points = np.stack([np.broadcast_to([0.0, 0.0, z], rim.shape), rim])
    return grid(points, points[..., :2] / (2 * radius) + 0.5)


def creases(
    xy: Array, rng: Rng, count: int, depth: float, reach: float, sharp: float = 0.04
) -> Array:
    """Height of many random, locally windowed straight creases over points (..., 2)."""
    low, high = xy.reshape(-1, 2).min(0), xy.reshape(-1, 2).max(0)
    total = np.zeros(xy.shape[:-1])
    for _ in range(count):
        centre = rng.uniform(low, high)
        angle = rng.uniform(0, np.pi)
        along = (xy - centre) @ np.array([np.cos(angle), np.sin(angle)])
        across = (xy - centre) @ np.array([-np.sin(angle), np.cos(angle)])
        size = reach * rng.uniform(0.5, 1.6)
        window = np.exp(-((along / size) ** 2) - (across / (0.6 * size)) ** 2)
        ridge = np.sqrt(across**2 + sharp**2) - 0.35 * size
        total += rng.normal(0, depth) * ridge / size * window
    return total


def fold(points: Array, normal: Array, offset: float, soft: float) -> Array:
    """Fold space over a plane: what lies beyond it is mirrored back, with a rounded crease."""
    beyond = points @ normal - offset
    passed = soft * np.logaddexp(0.0, beyond / soft)
    return np.asarray(points - 2 * passed[..., None] * normal)


def crumple(
    points: Array, rng: Rng, start: float, end: float, folds: int, flatten: float, soft: float
) -> Array:
    """Crush a sheet into a ball of radius ``end`` by mirroring it back at random planes."""
    scale = np.array([1.0, 1.0, 1.0 / flatten])
    points = points * scale
    for k in range(folds):
        normal = unit(rng.normal(size=3))
        offset = start * (end / start) ** (k / max(folds - 1, 1)) * rng.uniform(0.85, 1.15)
        points = fold(points, normal, offset, soft)
    return np.asarray(points / scale)


def dent(mesh: Mesh, height: float, angle: float, depth: float, width: float, tall: float) -> Mesh:
    """Push a sharp-edged diamond dent into a lathed mesh (angle and width in degrees)."""
    x, y, z = mesh.verts.T
    theta, rho = np.arctan2(y, x), np.hypot(x, y)
    turn = (theta - np.radians(angle) + np.pi) % (2 * np.pi) - np.pi
    far = np.abs(turn) / np.radians(width) + np.abs(z - height) / tall
    push = depth * np.maximum(0.0, 1 - np.sqrt(far**2 + 0.01))
    new = np.maximum(rho - push * rho / max(float(rho.max()), 1e-9), 0.0)
    verts = np.stack([new * np.cos(theta), new * np.sin(theta), z], -1)
    return Mesh(verts, mesh.faces, mesh.uvs, mesh.flat)


def bend(mesh: Mesh, height: float, degrees: float, length: float) -> Mesh:
    """Bend everything above a height about the y axis, over a transition length."""
    x, y, z = mesh.verts.T
    t = np.clip((z - height + length / 2) / length, 0, 1)
    angle = np.radians(degrees) * t * t * (3 - 2 * t)
    dz = z - height
    c, s = np.cos(angle), np.sin(angle)
    verts = np.stack([x * c + dz * s, y, height + dz * c - x * s], -1)
    return Mesh(verts, mesh.faces, mesh.uvs, mesh.flat)


def rotation(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Array:
    """Rotation matrix: about x, then y, then z, in degrees."""
    result = np.eye(3)
    for axis, degrees in enumerate((x, y, z)):
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        i, j = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = c
        turn[i, j], turn[j, i] = -s, s
        result = turn @ result
    return result


def moved(mesh: Mesh, turn: Array | None = None, shift: tuple[float, ...] = (0, 0, 0)) -> Mesh:
    """Rotate, then shift a mesh."""
    verts = mesh.verts if turn is None else mesh.verts @ turn.T
    return Mesh(verts + np.array(shift, dtype=float), mesh.faces, mesh.uvs, mesh.flat)


def merged(meshes: list[Mesh]) -> Mesh:
    """Join meshes that share one material."""
    start = np.cumsum([0] + [len(m.verts) for m in meshes[:-1]])
    faces = [m.faces + s for m, s in zip(meshes, start, strict=True)]
    return Mesh(
        np.vstack([m.verts for m in meshes]),
        np.vstack(faces).astype(np.int32),
        np.vstack([m.uvs for m in meshes]),
        meshes[0].flat,
    )


def board(
    width: float, height: float, thick: float = 0.4, flute: float = 0.75
) -> tuple[Mesh, Mesh]:
    """Corrugated board over [0, width] x [0, height]: (liners, wavy middle); flutes run along y."""
    liners = []
    for z0, z1 in ((0.0, 0.05), (thick - 0.05, thick)):
        corner = np.array(
            [[0, 0, z0], [width, 0, z0], [width, height, z0], [0, height, z0]], dtype=float
        )
        ring = np.stack([corner, corner + np.array([0, 0, z1 - z0])])[:, [0, 1, 2, 3, 0]]
        uv = ring[..., :2] / [width, height]
        liners.append(grid(ring, uv))
        for level in (z0, z1):
            flat = corner[[0, 1, 3, 2]].reshape(2, 2, 3).copy()
            flat[..., 2] = level
            liners.append(grid(flat, flat[..., :2] / [width, height]))
    liner = merged(liners)
    liner.flat = True
    x = np.linspace(0, width, int(width / flute * 14))
    z = thick / 2 + (thick / 2 - 0.06) * np.sin(2 * np.pi * x / flute)
    wave = np.stack([np.stack([x, np.full_like(x, y), z], -1) for y in (0.02, height - 0.02)])
    return liner, grid(wave, wave[..., :2] / [width, height])
