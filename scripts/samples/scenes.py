"""The pictured items: parts (mesh and material), camera, light and white balance of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import geometry as g
from . import textures as t

Array = g.Array
Rng = g.Rng
Material = dict[str, Any]


@dataclass
class Part:
    """A mesh with its material."""

    mesh: g.Mesh
    material: Material


@dataclass
class Scene:
    """One picture: what lies on the table and how it is lit and photographed."""

    parts: list[Part]
    distance: float = 48.0
    elevation: float = 58.0
    roll: float = 0.0
    target: tuple[float, float, float] = (0.0, 0.0, 2.0)
    fov: float = 42.0
    window: tuple[float, float] = (130.0, 42.0)  # azimuth and height of the window, degrees
    window_size: tuple[float, float] = (44.0, 40.0)
    window_power: float = 14.0
    room: float = 0.42
    lamp: float = 0.0  # strength of a small ceiling lamp, for crisper shadows
    table: tuple[float, float, float] = (0.93, 0.92, 0.91)
    balance: tuple[float, float, float] = (1.02, 1.0, 0.96)
    exposure: float = 0.74
    shadow: tuple[float, float] = (0.0, 0.16)  # direction and strength of a gradient
    effort: int = 1  # multiplies the samples per pixel


# Materials -----------------------------------------------------------------------------------


def rgb(*values: float) -> Material:
    """A plain colour."""
    return {"type": "rgb", "value": list(values)}


def picture(pixels: t.Pixels) -> Material:
    """A bitmap texture; the renderer fills in the pixels."""
    return {"type": "bitmap", "pixels": pixels}


def matte(colour: Material, roughness: float = 0.8, shine: float = 0.25) -> Material:
    """Paper, board, opaque plastic."""
    return {
        "type": "twosided",
        "bsdf": {
            "type": "principled",
            "base_color": colour,
            "roughness": roughness,
            "specular": shine,
        },
    }


def metal(colour: Material, roughness: float = 0.25, coat: float = 0.0) -> Material:
    """Bare or printed metal."""
    return {
        "type": "principled",
        "base_color": colour,
        "metallic": 1.0,
        "roughness": roughness,
        "clearcoat": coat,
        "clearcoat_gloss": 0.9,
    }


def glass(tint: tuple[float, float, float], ior: float = 1.5) -> Material:
    """Smooth glass; the tint applies at every surface that light crosses."""
    return {"type": "dielectric", "int_ior": ior, "specular_transmittance": rgb(*tint)}


def milky(colour: tuple[float, float, float], roughness: float = 0.28) -> Material:
    """Translucent plastic with a soft gloss, such as that of milk jugs."""
    body = {"type": "principledthin", "base_color": rgb(*colour), "diff_trans": 0.9, "eta": 1.5}
    skin = {
        "type": "principled",
        "base_color": rgb(*colour),
        "roughness": roughness,
        "specular": 0.7,
    }
    return {"type": "blendbsdf", "weight": 0.5, "body": body, "skin": skin}


def posed(parts: list[Part], turn: Array, shift: tuple[float, float] = (0, 0)) -> list[Part]:
    """Turn a group of parts and set it down on the table."""
    turned = [Part(g.moved(p.mesh, turn), p.material) for p in parts]
    low = min(float(p.mesh.verts[:, 2].min()) for p in turned)
    return [Part(g.moved(p.mesh, None, (*shift, 0.01 - low)), p.material) for p in turned]


def lying(roll: float, yaw: float, lift: float = 0.0) -> Array:
    """Pose that lays an upright thing on its side: roll about its axis, then turn on the table."""
    return g.rotation(0, 90 + lift, yaw) @ g.rotation(0, 0, roll)


def wrap(radius: float, z0: float, z1: float, span: tuple[float, float]) -> g.Mesh:
    """A label patch round the z axis; its picture reads along the angle."""
    return g.lathe(g.round_profile([(radius, z0), (radius, z1)], 0.5, 0), span)


# Glass ---------------------------------------------------------------------------------------

BEER: list[tuple[float, float]] = [
    (0, 0.6), (1.6, 0.4), (2.3, 0.05), (2.6, 0), (2.95, 0.25), (3.05, 0.9), (3.05, 13.2),
    (2.85, 14.6), (2.2, 16.2), (1.7, 18), (1.4, 20), (1.32, 21.3), (1.62, 21.4), (1.66, 22),
    (1.45, 22.1), (1.4, 22.8), (1.2, 23), (0.98, 22.9), (0.95, 21), (1.05, 19.8), (1.35, 17.8),
    (1.85, 16.1), (2.5, 14.4), (2.72, 13), (2.72, 1.5), (2.4, 0.9), (0, 1.1),
]  # fmt: skip


def bottle(tint: tuple[float, float, float], label: t.Pixels, neck: t.Pixels) -> list[Part]:
    """Long-neck bottle with a paper label and a neck band."""
    body = g.lathe(g.round_profile(BEER, 1.2, 4))
    return [
        Part(body, glass(tint)),
        Part(wrap(3.075, 4.2, 11.2, (-75, 75)), matte(picture(label), 0.5, 0.4)),
        Part(
            g.lathe(g.round_profile([(1.76, 17.9), (1.50, 19.6)], 0.2, 0), (-180, 180)),
            matte(picture(neck), 0.5, 0.4),
        ),
    ]


def green_glass_bottle(rng: Rng) -> Scene:
    """Green beer bottle lying on its side."""
    label = t.beer_label(rng, "Halden", (236, 230, 208), (24, 58, 34), (170, 28, 30))
    band = t.shade(np.full((80, 400, 3), (170, 28, 30), np.uint8), np.ones((80, 400)))
    parts = posed(bottle((0.24, 0.66, 0.24), label, band), lying(205, 28), (-10.5, -4.5))
    return Scene(parts, distance=42, elevation=66, roll=4, window=(105, 48), window_size=(80, 34),
                 room=0.6, effort=2)  # fmt: skip


def brown_glass_bottle(rng: Rng) -> Scene:
    """Brown beer bottle lying on its side."""
    label = t.beer_label(rng, "OTTERBROOK", (30, 44, 84), (238, 226, 190), (206, 150, 60))
    band = np.full((80, 400, 3), (30, 44, 84), np.uint8)
    parts = posed(bottle((0.62, 0.29, 0.07), label, band), lying(172, 142), (9, -8))
    return Scene(parts, distance=37, elevation=62, window=(60, 46), window_size=(80, 34),
                 balance=(1.06, 1.0, 0.9), room=0.6, effort=2)  # fmt: skip


def clear_glass_jar(rng: Rng) -> Scene:
    """Empty jam jar with a screw thread."""
    outer: list[tuple[float, float]] = [
        (0, 0.5), (2.4, 0.3), (2.9, 0), (3.3, 0.1), (3.6, 0.7), (3.6, 7.6), (3.4, 8.3),
        (2.95, 8.8), (2.95, 9.1), (3.12, 9.2), (3.12, 9.4), (2.95, 9.5), (2.95, 9.75),
        (3.12, 9.85), (3.12, 10.05), (2.95, 10.15), (2.95, 10.5), (2.8, 10.7), (2.6, 10.55),
        (2.6, 8.9), (3.0, 8.3), (3.25, 7.5), (3.25, 1.2), (2.9, 0.85), (0, 1.0),
    ]  # fmt: skip
    body = g.lathe(g.round_profile(outer, 0.6, 4))
    parts = posed([Part(body, glass((0.955, 0.975, 0.965)))], lying(0, 118, -8), (2.2, -5))
    return Scene(parts, distance=29, elevation=55, window=(150, 40), room=0.6, effort=2,
                 balance=(1.04, 1.0, 0.93))  # fmt: skip


# Metal ---------------------------------------------------------------------------------------


def dented_drink_can(rng: Rng) -> Scene:
    """Crushed drink can."""
    profile: list[tuple[float, float]] = [
        (0, 1.0), (1.4, 0.8), (2.2, 0.3), (2.4, 0), (2.6, 0.1), (2.95, 0.7), (3.3, 1.3),
        (3.3, 10.7), (2.95, 11.6), (2.65, 12.05), (2.72, 12.25), (2.6, 12.35), (2.5, 12.2),
        (2.42, 11.75), (2.25, 11.65), (2.1, 11.85), (0, 11.85),
    ]  # fmt: skip
    fine = g.round_profile(profile, 0.12, 2)
    can = g.lathe(fine, segments=500)
    ring = np.linspace(0, 2 * np.pi, 60)
    tab_path = np.stack(
        [0.75 + 0.75 * np.cos(ring), 0.5 * np.sin(ring), 12.02 + 0.1 * np.cos(ring)], -1
    )
    tab = g.merged([g.tube(tab_path, 0.13), g.moved(g.disc(0.5, 12.0, 1.1), None, (0.1, 0, 0))])
    hole = g.moved(g.disc(0.75, 11.88, 1.15), None, (-1.05, 0, 0))
    meshes = [can, tab, hole]
    dents = [
             (6.4, 0, 2.3, 85, 4.2), (8.3, 95, 1.3, 60, 2.6), (4.2, -100, 1.4, 60, 2.8),
             (5.6, 50, 0.9, 40, 1.9), (7.6, -48, 1.0, 45, 2.2), (3.4, 150, 0.6, 50, 1.6),
             (9.0, -150, 0.5, 40, 1.5), (3.2, 20, 0.5, 35, 1.3), (9.6, 25, 0.5, 30, 1.0),
    ]  # fmt: skip
    for height, angle, depth, width, tall in dents:
        can = g.dent(can, height, angle, depth, width, tall)
    meshes[0] = can
    bent = [g.bend(m, 6.2, 16, 3.0) for m in meshes]
    silver = metal(rgb(0.86, 0.86, 0.87), 0.22)
    parts = [
        Part(bent[0], metal(picture(t.can_print(rng)), 0.24, 0.6)),
        Part(bent[1], {"type": "twosided", "bsdf": silver}),
        Part(bent[2], matte(rgb(0.02, 0.02, 0.02))),
    ]
    parts = posed(parts, lying(195, -128, -6), (3.3, 5.6))
    return Scene(parts, distance=31, elevation=50, window=(70, 45), balance=(1.04, 1.0, 0.93))


def food_tin(rng: Rng) -> Scene:
    """Opened ridged tin with a torn label and its lid bent up."""
    z = np.linspace(0.35, 10.7, 500)
    ridge = np.clip((z - 2.6) * 2, 0, 1) * np.clip((8.6 - z) * 2, 0, 1)
    r = 3.65 - 0.07 * ridge * (1 + np.cos(2 * np.pi * z / 0.62))
    seam = [(3.62, 10.75), (3.8, 10.8), (3.84, 10.95), (3.8, 11.1), (3.68, 11.12), (3.6, 11.0)]
    foot = [(0.0, 0.25), (3.3, 0.25), (3.45, 0.0), (3.78, 0.0), (3.8, 0.2), (3.66, 0.3)]
    inner = np.stack([r[::-1] - 0.04, z[::-1]], -1)
    profile = np.vstack([
        g.round_profile(foot, 0.2, 1), np.stack([r, z], -1), g.round_profile(seam, 0.1, 2), inner,
        [[3.5, 0.4], [0, 0.4]],
    ])  # fmt: skip
    steel = metal(rgb(0.74, 0.73, 0.71), 0.23)
    tin = g.lathe(profile, segments=240)
    rings = np.linspace(0, 3.45, 140)
    bead = 0.07 * np.sin(rings * 5.2) * (rings > 1.2) * (rings < 3.1)
    lid = g.lathe(np.stack([rings, bead], -1), segments=160)
    rim = lid.verts
    angle, rho = np.arctan2(rim[:, 1], rim[:, 0]), np.hypot(rim[:, 0], rim[:, 1])
    rim *= (1 + 0.012 * np.sin(23 * angle) * (rho > 3.3))[:, None]
    rim[:, 0] += 3.4
    rim[:, 2] += 0.025 * rim[:, 0] ** 2
    lid = g.moved(lid, g.rotation(0, -70, 0), (-3.72, 0, 10.95))
    span, count = (-150.0, 118.0), 420
    theta = np.radians(np.linspace(*span, count))
    lab_z = np.linspace(1.4, 9.6, 260)
    lab_r = 3.67 + 0.15 * (np.interp(lab_z, z, r) - 3.65)
    points = np.stack([
        lab_r[:, None] * np.cos(theta), lab_r[:, None] * np.sin(theta),
        np.broadcast_to(lab_z[:, None], (260, count)),
    ], -1)  # fmt: skip
    uv = np.stack(np.meshgrid(np.linspace(0, 1, count), np.linspace(0, 1, 260)), -1)
    tear = 0.95 + 0.035 * t.noise((260, 16), rng, 1.2)[:, :1] + 0.1 * (uv[..., 1] - 0.4)
    label = g.grid(points, uv, uv[..., 0] < tear)
    parts = [
        Part(tin, steel),
        Part(lid, {"type": "twosided", "bsdf": steel}),
        Part(label, matte(picture(t.tin_label(rng)), 0.45, 0.5)),
    ]
    turn = g.rotation(0, 0, -140)
    return Scene(posed(parts, turn), distance=40, elevation=42, target=(0.5, 0, 7.5),
                 window=(40, 45), room=0.6)  # fmt: skip


def crumpled_foil(rng: Rng) -> Scene:
    """Ball of used kitchen foil."""
    points, uv = g.sheet(30, 30, 0.045)
    points[..., 2] += g.creases(points[..., :2], rng, 260, 1.3, 2.6, 0.05)
    points = g.crumple(points, rng, 13, 4.6, 46, 0.75, 0.05)
    foil = {
        "type": "twosided",
        "bsdf": {"type": "roughconductor", "material": "Al", "alpha": 0.13, "distribution": "ggx"},
    }
    parts = posed([Part(g.grid(points, uv), foil)], np.eye(3))
    return Scene(parts, distance=27, elevation=60, window=(60, 50), balance=(1.05, 1.0, 0.92),
                 target=(0, 0, 2), room=0.45)  # fmt: skip


# Cardboard -----------------------------------------------------------------------------------


def panel_parts(
    width: float, height: float, pixels: t.Pixels, turn: Array, shift: tuple[float, float, float]
) -> list[Part]:
    """A corrugated panel, turned and placed."""
    liner, wave = g.board(width, height)
    inside = matte(rgb(0.42, 0.27, 0.15), 0.9, 0.1)
    return [
        Part(g.moved(liner, turn, shift), matte(picture(pixels), 0.85, 0.15)),
        Part(g.moved(wave, turn, shift), inside),
    ]


def cardboard_box(rng: Rng) -> Scene:
    """Opened shipping box with flaps, tape and an address label."""
    w, d, h = 26.0, 18.0, 11.0
    plain = t.box_panel(rng, "plain")
    parts: list[Part] = []
    up = g.rotation(90, 0, 0)
    parts += panel_parts(w, h, t.box_panel(rng, "mark"), up, (0, 0.4, 0))
    parts += panel_parts(w, h, plain, up, (0, d, 0))
    side = g.rotation(0, 0, 90) @ up
    parts += panel_parts(d, h, plain, side, (0.0, 0, 0))
    parts += panel_parts(d, h, plain, side, (w - 0.4, 0, 0))
    parts += panel_parts(w, d, plain, np.eye(3), (0, 0, 0))
    flap = d / 2 - 0.1
    label = t.box_panel(rng, "label")
    parts += panel_parts(w - 0.4, flap, label, g.rotation(3, 0, 0), (0.2, 0.1, h))
    back = g.rotation(0, 0, 180) @ g.rotation(0, 0, 0)
    parts += panel_parts(w - 0.4, flap, plain, back @ g.rotation(42, 0, 0), (w - 0.2, d - 0.1, h))
    for x, yaw, lift in ((0.2, -90, 118), (w - 0.2, 90, -7)):
        parts += panel_parts(
            d - 1, flap * 0.9, plain, g.rotation(0, 0, yaw) @ g.rotation(lift, 0, 0),
            (x, d - 0.5 if yaw < 0 else 0.5, h - 0.45),
        )  # fmt: skip
    strip, uv = g.sheet(5.0, 12.0, 0.1)
    y = strip[..., 1] + 6.0
    strip[..., 2] = np.where(y < 5.0, 0.0, 0.02 * (y - 5.0) ** 2)
    strip[..., 2] += 0.006 * t.noise(strip.shape[:2], rng, 1.4)
    strip[..., 1] = y
    ragged = y < 11.4 + 0.25 * np.sin(strip[..., 0] * 9)
    tape = t.shade(
        np.full((200, 100, 3), (188, 146, 92), np.uint8), 1 + 0.04 * t.noise((200, 100), rng, 1)
    )
    turn = g.rotation(3, 0, 0)
    parts.append(
        Part(
            g.moved(g.grid(strip, uv, ragged), turn, (7.5, 0.4, h + 0.48)),
            matte(picture(tape), 0.16, 0.6),
        )
    )
    down, uv = g.sheet(5.0, 4.0, 0.1)
    down[..., 2] = down[..., 1] - 2.0 + h + 0.45
    down[..., 1] = -0.03 - 0.004 * np.abs(t.noise(down.shape[:2], rng, 1.4))
    end = g.moved(g.grid(down, uv), None, (7.5, 0, 0))
    parts.append(Part(end, matte(picture(tape), 0.16, 0.6)))
    placed = posed(parts, g.rotation(0, 0, 24))
    middle = g.rotation(0, 0, 24) @ np.array([w / 2, d / 2, 0])
    return Scene(placed, distance=62, elevation=46, target=(middle[0], middle[1], 5.5),
                 window=(205, 45), lamp=0.6)  # fmt: skip


def torn_cardboard(rng: Rng) -> Scene:
    """Flattened piece of corrugated board with a torn edge that shows the flutes."""
    w, h, flute = 27.0, 19.0, 0.72
    points, uv = g.sheet(w, h, 0.05)
    x, y = points[..., 0], points[..., 1]
    n, m = x.shape
    rough = t.noise((n, m), rng, 1.7)
    line = 4.6 + 2.2 * np.sin(y * 0.33 + 0.6) + 1.5 * np.sin(y * 0.9) + 0.55 * rough
    fringe = t.noise((n, m), rng, 1.1)
    corner = (x + w / 2) + 1.3 * (h / 2 - y) > 4.5 + 0.35 * fringe
    edge = np.abs(y) < h / 2 - 0.04
    base_mask = (x < line + 4.2 + 0.9 * rough + 0.2 * fringe) & corner & edge
    top_mask = (x < line + 0.25 * fringe) & corner & edge
    wave_mask = (x < line + 2.6 + 0.8 * np.sin(y * 1.7) + 0.3 * fringe) & corner & edge
    bow = 0.9 * np.exp(-(((x + 3.5) / 0.9) ** 2)) + 0.016 * (x + 3.5) ** 2 + 0.004 * y**2
    bow += g.creases(points[..., :2], rng, 26, 0.25, 3.0, 0.15)
    curl = 0.5 * np.clip(1 - (line - x) / 1.6, 0, 1) ** 2
    lift = 0.03 * np.sin(2 * np.pi * y / flute)

    def layer(z: Array, mask: Any, colour: Material) -> Part:
        shaped = np.stack([x, y, z + bow], -1)
        return Part(g.grid(shaped, uv, mask), matte(colour, 0.88, 0.12))

    top = np.asarray(t.kraft((1100, 800), rng, 0), dtype=float) / 255
    top *= 1 + 0.03 * np.sin(np.linspace(0, 2 * np.pi * h / flute, 800))[:, None, None]
    fibre = np.asarray(t.kraft((1100, 800), rng, 0, (196, 158, 114)))
    wave = 0.2 + 0.17 * np.sin(2 * np.pi * y / flute)
    parts = [
        layer(np.zeros_like(x), base_mask, picture(fibre)),
        layer(wave, wave_mask, picture(fibre)),
        layer(0.42 + lift + curl, top_mask, picture(t.to_pixels(top))),
    ]
    return Scene(posed(parts, g.rotation(0, 0, -17)), distance=43, elevation=63, window=(100, 32),
                 target=(0, 0, 1), lamp=0.8, balance=(1.03, 1.0, 0.95))  # fmt: skip


# Paper ---------------------------------------------------------------------------------------


def crumpled_paper(rng: Rng) -> Scene:
    """Office page crushed into a loose ball."""
    points, uv = g.sheet(21, 29.7, 0.045)
    points[..., 2] += g.creases(points[..., :2], rng, 90, 1.6, 4.0, 0.05)
    points = g.crumple(points, rng, 12.5, 5.4, 26, 0.8, 0.06)
    page = matte(picture(t.printed_sheet(rng)), 0.9, 0.1)
    parts = posed([Part(g.grid(points, uv), page)], g.rotation(0, 0, 30))
    return Scene(parts, distance=34, elevation=58, window=(165, 32), lamp=1.0,
                 table=(0.9, 0.89, 0.88), target=(0, 0, 2.5), exposure=0.7, room=0.3)  # fmt: skip


def folded_newspaper(rng: Rng) -> Scene:
    """Newspaper page folded in half."""
    w, h = 24.0, 32.0
    points, uv = g.sheet(w, h, 0.08)
    x, s = points[..., 0], points[..., 1]
    radius = 0.28
    half = np.pi * radius / 2
    height = 0.045 * np.clip(s, 0, None) ** 1.35 + 2 * radius
    y = np.where(np.abs(s) < half, radius * np.cos(s / radius), -(np.abs(s) - half))
    z = np.where(np.abs(s) < half, radius + radius * np.sin(s / radius),
                 np.where(s > 0, height, 0.0))  # fmt: skip
    wrinkle = g.creases(points[..., :2], rng, 60, 0.35, 4.0, 0.12)
    z = z + np.where(s > 0, 1, 0.3) * (wrinkle + 0.35 * np.sin(x * 0.35) * np.clip(s / 12, 0, 1))
    corner = np.clip((x - 7) + (s - 12.0), 0, None)
    z = z + 0.05 * corner**1.6
    z = np.maximum(z, np.where(s > 0, 0.12, 0.0))
    skew = 0.03 * np.clip(s, 0, None)
    mesh = g.grid(np.stack([x + skew, y, z], -1), np.stack([uv[..., 0], 1 - uv[..., 1]], -1))
    mesh.verts[:, 1] += 8
    under = g.moved(mesh, g.rotation(0, 0, 2.5), (0.5, -0.5, 0))
    under.verts[:, 2] *= 0.5
    page = matte(picture(t.newspaper(rng)), 0.9, 0.1)
    mesh.verts[:, 2] += 0.5
    parts = posed([Part(mesh, page), Part(under, page)], g.rotation(0, 0, 16))
    return Scene(parts, distance=48, elevation=62, window=(20, 40), lamp=0.5,
                 target=(0, 0, 1), balance=(1.03, 1.0, 0.95))  # fmt: skip


# Plastic -------------------------------------------------------------------------------------


def screw_cap(radius: float, height: float, z: float, ribs: int = 60) -> g.Mesh:
    """Ribbed screw cap."""
    cap = g.lathe(
        g.round_profile(
            [(0, height), (radius - 0.12, height), (radius, height - 0.15), (radius, 0), (0, 0)],
            0.1, 1,
        ),
        segments=ribs * 8,
    )  # fmt: skip
    angle = np.arctan2(cap.verts[:, 1], cap.verts[:, 0])
    rim = np.hypot(cap.verts[:, 0], cap.verts[:, 1]) > radius - 0.08
    rim &= cap.verts[:, 2] < height - 0.15
    cap.verts[:, :2] *= (1 + 0.03 * rim * (np.cos(ribs * angle) > 0))[:, None]
    faces = cap.faces[:, ::-1]
    return g.moved(g.Mesh(cap.verts, faces, cap.uvs), None, (0, 0, z))


def water_bottle(rng: Rng) -> Scene:
    """Clear ribbed water bottle with a blue cap and a label."""
    z = np.linspace(0.9, 14.6, 420)
    ribs = (np.abs(z - 9.0) > 2.3) * (0.5 - 0.5 * np.cos(2 * np.pi * z / 1.3))
    ribs *= np.clip((z - 1.4) / 1.2, 0, 1) * np.clip((14.0 - z) / 1.0, 0, 1)
    r = 3.15 - 0.17 * ribs
    foot = g.round_profile(
        [(0, 0.7), (1.2, 0.5), (2.1, 0.0), (2.7, 0.0), (3.1, 0.35), (3.15, 0.88)], 0.5, 4
    )
    top = g.round_profile(
        [(3.15, 14.62), (3.12, 15.6), (2.5, 17.2), (1.6, 18.8), (1.3, 19.3), (1.3, 19.7),
         (1.6, 19.75), (1.6, 19.95), (1.25, 20), (1.25, 21)], 0.7, 4,
    )  # fmt: skip
    profile = np.vstack([foot, np.stack([r, z], -1), top])
    body = g.lathe(g.shell(profile, 0.09), segments=260)
    parts = [
        Part(body, glass((0.93, 0.955, 0.97))),
        Part(wrap(3.19, 6.8, 11.2, (-180, 180)), matte(picture(t.water_label(rng)), 0.3, 0.5)),
        Part(screw_cap(1.5, 1.5, 19.95), matte(rgb(0.02, 0.12, 0.55), 0.35, 0.5)),
    ]
    parts = posed(parts, lying(165, 22), (-10.0, -3.5))
    return Scene(parts, distance=42, elevation=60, window=(100, 48), window_size=(80, 34), effort=3,
                 balance=(1.0, 1.0, 1.0), room=0.24)  # fmt: skip


def milk_jug(rng: Rng) -> Scene:
    """Translucent milk jug with handle, blue cap and label."""
    profile = g.round_profile(
        [(0, 0.5), (5.5, 0.4), (6.6, 0), (7.3, 0.4), (7.5, 1.2), (7.5, 14), (7.3, 15.5),
         (6.2, 18.5), (3.6, 22.5), (2.2, 24.3), (1.75, 25), (1.75, 26.2)], 0.7, 4,
    )  # fmt: skip
    body = g.lathe(profile, segments=360)
    x, y, z = body.verts.T
    rho, theta = np.hypot(x, y), np.arctan2(y, x)
    power = 2 + 3.2 * np.clip((rho - 2) / 3, 0, 1) * np.clip((24.5 - z) / 4, 0, 1)
    square = (np.abs(np.cos(theta)) ** power + np.abs(np.sin(theta)) ** power) ** (-1 / power)
    turn = np.abs((theta + np.pi / 4 + np.pi) % (2 * np.pi) - np.pi)
    hollow = np.clip(1 - turn / 0.62, 0, 1) * np.clip(np.minimum(z - 9.5, 24 - z) / 3, 0, 1)
    hollow = hollow * hollow * (3 - 2 * hollow)
    panel = np.clip(np.minimum(z - 2, 13 - z), 0, 1) * (rho > 7)
    size = rho * square * (1 - 0.42 * hollow) - 0.12 * panel * (np.abs(np.cos(2 * theta)) > 0.75)
    size = size + 0.02 * np.sin(5 * theta + z)
    body.verts[:] = np.stack([size * np.cos(theta), size * np.sin(theta), z], -1)
    arc = g.round_profile(
        [(3.0, 22.6), (5.8, 21.4), (7.7, 18.5), (8.3, 14.5), (8.2, 11), (7.0, 9.3)], 0.3, 4
    )
    along = np.array([np.cos(np.pi / 4), -np.sin(np.pi / 4)])
    handle = g.tube(np.column_stack([arc[:, :1] * along, arc[:, 1:]]), 1.25)
    tag, uv = g.sheet(8.5, 8.5, 0.5)
    front = np.stack([tag[..., 0], np.full(tag.shape[:2], -7.54), tag[..., 1] + 7.6], -1)
    white = milky((0.97, 0.975, 0.965))
    parts = [
        Part(body, white),
        Part(handle, white),
        Part(g.grid(front, uv), matte(picture(t.milk_label(rng)), 0.35, 0.4)),
        Part(screw_cap(2.05, 1.7, 25.0, 48), matte(rgb(0.03, 0.1, 0.5), 0.35, 0.5)),
    ]
    pose = g.rotation(0, 0, 62) @ g.rotation(-90, 0, 0)
    parts = posed(parts, pose)
    return Scene(parts, distance=56, elevation=60, target=(-10.5, 6, 5), window=(60, 42),
                 balance=(1.0, 1.0, 0.99), exposure=0.8)  # fmt: skip


# Trash ---------------------------------------------------------------------------------------


def crisp_packet(rng: Rng) -> Scene:
    """Empty crisp packet, printed outside and silver inside, torn open at the top."""
    n, m = 560, 640
    u, v = np.meshgrid(np.linspace(0, 1, m), np.linspace(0, 1, n))
    width, length = 15.0, 21.0
    opening = 0.16 + 0.84 * np.clip((1 - v) / 0.55, 0, 1) ** 0.8
    swell = np.clip(v / 0.3, 0, 1) ** 0.75 * (2.3 * opening + 1.1 * v**3)
    phase = 2 * np.pi * (u - 0.5)
    x = np.interp(np.abs(u - 0.5), [0, 0.25, 0.5], [0, 0.5, 0]) * np.sign(u - 0.5) * width
    x = x * (1 - 0.012 * swell**2)
    z = swell * np.sign(np.cos(phase)) * np.abs(np.cos(phase)) ** 0.8
    y = (v - 0.5) * length
    plane = np.stack([(u - 0.5) * 2 * width, y], -1)
    crumple_z = g.creases(plane, rng, 220, 0.75, 2.6, 0.06)
    radial = 0.10 * np.sin(u * 150 + 3 * np.sin(u * 31)) * np.exp(-v / 0.12)
    radial *= np.clip(v / 0.05, 0, 1)
    z = z + (crumple_z + radial) * np.clip(v / 0.06, 0.05, 1)
    seal = (v < 0.05) * 0.05 * np.sign(np.sin(v * length * 2 * np.pi / 0.22))
    z = z + seal
    y = y + (v < 0.003) * 0.18 * np.sign(np.sin(u * 2 * np.pi * 46))
    tear = 0.955 + 0.02 * np.sin(u * 9.0) + 0.006 * t.noise((8, m), rng, 0.9)[:1]
    points = np.stack([x, y, z], -1)
    points = g.fold(points, g.unit(np.array([0.75, 0.55, 0.30])), 10.2, 0.12)
    points[..., 2] = np.maximum(points[..., 2], -1.5 + 0.25 * crumple_z)
    outside = metal(picture(t.crisp_print(rng)), 0.3, 0.5)
    outside["metallic"] = 0.35
    inside = metal(rgb(0.8, 0.8, 0.8), 0.22)
    film = {"type": "twosided", "outside": outside, "inside": inside}
    mesh = g.grid(points, np.stack([u, v], -1), v < tear)
    parts = posed([Part(mesh, film)], g.rotation(0, 0, 158))
    return Scene(parts, distance=45, elevation=62, window=(70, 45), balance=(1.04, 1.0, 0.93),
                 target=(0, 0, 1.5), exposure=0.66)  # fmt: skip


def coffee_cup(rng: Rng) -> Scene:
    """Used paper cup with a plastic lid, lying on its side."""
    side: list[tuple[float, float]] = [
        (0, 0.6), (2.75, 0.6), (2.8, 0.0), (2.95, 0.0), (3.0, 0.4), (4.3, 11.0),
    ]  # fmt: skip
    cup = g.lathe(g.round_profile(side, 0.15, 1), segments=260)
    low = 0.4
    wall = g.lathe(g.round_profile([(3.05, low), (4.35, 11.0)], 0.15, 0), (-180, 180), segments=260)
    for mesh in (cup, wall):
        mesh.verts[:] = g.dent(mesh, 6.0, 20, 0.55, 60, 4.0).verts
    lid_line: list[tuple[float, float]] = [
        (4.42, 10.5), (4.55, 10.6), (4.55, 11.0), (4.4, 11.2), (4.25, 12.2), (4.05, 12.5),
        (3.85, 12.45), (3.7, 12.0), (3.5, 11.85), (0, 11.85),
    ]  # fmt: skip
    lid = g.lathe(g.round_profile(lid_line, 0.12, 3))
    sip = g.moved(g.disc(0.28, 12.53, 1.9), g.rotation(0, 0, 90), (3.2, 0, -0.6))
    sip.verts[:, 2] = 11.9
    parts = [
        Part(cup, matte(rgb(0.80, 0.79, 0.76), 0.6, 0.3)),
        Part(wall, matte(picture(t.cup_print(rng)), 0.65, 0.25)),
        Part(lid, matte(rgb(0.045, 0.04, 0.04), 0.32, 0.5)),
        Part(sip, matte(rgb(0.004, 0.004, 0.004), 0.9, 0.05)),
    ]
    parts = posed(parts, lying(150, -148, -7), (4.5, 4.0))
    return Scene(parts, distance=36, elevation=50, window=(50, 42), balance=(1.05, 1.0, 0.92),
                 lamp=0.4)  # fmt: skip


ITEMS: dict[str, tuple[str, Callable[[Rng], Scene]]] = {
    "cardboard_box": ("cardboard", cardboard_box),
    "torn_cardboard": ("cardboard", torn_cardboard),
    "green_glass_bottle": ("glass", green_glass_bottle),
    "brown_glass_bottle": ("glass", brown_glass_bottle),
    "clear_glass_jar": ("glass", clear_glass_jar),
    "dented_drink_can": ("metal", dented_drink_can),
    "food_tin": ("metal", food_tin),
    "crumpled_foil": ("metal", crumpled_foil),
    "crumpled_paper": ("paper", crumpled_paper),
    "folded_newspaper": ("paper", folded_newspaper),
    "water_bottle": ("plastic", water_bottle),
    "milk_jug": ("plastic", milk_jug),
    "crisp_packet": ("trash", crisp_packet),
    "coffee_cup": ("trash", coffee_cup),
}
