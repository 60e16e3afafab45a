#!/usr/bin/env python3
"""Render the sample pictures in ``samples/`` with Mitsuba 3.

Everything in the pictures is generated: shapes, labels, textures and light. No photograph is
used, so the pictures may be redistributed with the project.

Needs Python 3.11 or newer and three packages, best in an environment of their own:

    python3 -m venv .venv-render
    .venv-render/bin/pip install "mitsuba>=3.9,<4" "numpy>=1.26" "pillow>=10.1"
    .venv-render/bin/python scripts/render_samples.py

Mitsuba's ``scalar_rgb`` variant works everywhere; ``--variant llvm_ad_rgb`` may be faster where a
recent LLVM library is installed (the noise then differs slightly). Each item has its own fixed
seed, so the pictures come out the same however many are rendered. For a quick draft:

    python scripts/render_samples.py --only food_tin --spp 16 --size 256x192 --out drafts

At the default settings a picture takes about a minute on two processor cores, and two or three
minutes where light has to find its way through glass.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

import mitsuba as mi
import numpy as np
from PIL import Image, ImageFilter

from samples import geometry, textures
from samples.scenes import ITEMS, Scene

Array = geometry.Array
ROOT = Path(__file__).resolve().parents[1]
MAX_BYTES = 60_000


def room(scene: Scene) -> Array:
    """Surroundings as a latitude-longitude picture: walls, ceiling, window, lamp and clutter."""
    h, w = 512, 1024
    azimuth = (np.arange(w) + 0.5)[None, :] / w * 360
    height = 90 - (np.arange(h) + 0.5)[:, None] / h * 180
    wall = scene.room * (0.3 + 0.7 * np.clip(height / 45, 0, 1)) + 0 * azimuth
    image = wall[..., None] * np.array([1.0, 0.97, 0.92])

    def patch(az: float, alt: float, wide: float, tall: float) -> Any:
        turn = (azimuth - az + 180) % 360 - 180
        return (np.abs(turn) < wide / 2) & (np.abs(height - alt) < tall / 2)

    def paint(mask: Any, colour: tuple[float, float, float]) -> None:
        image[mask] = colour

    az, alt = scene.window
    wide, tall = scene.window_size
    power = scene.window_power
    for shift, dark in ((150, 0.35), (205, 0.6), (262, 0.45), (78, 0.5)):
        shape = patch(az + shift, 14, 24, 44)
        image[shape] *= dark
    paint(patch(az, alt, wide + 5, tall + 5), (0.9, 0.88, 0.85))
    for column in (-1, 1):
        for row in (-1, 1):
            pane = patch(az + column * wide / 4, alt + row * tall / 4, wide / 2 - 2, tall / 2 - 2)
            paint(pane, (power * 0.95, power * 1.0, power * 1.07))
    paint(patch(az + 168, 58, 16, 9), (power * 0.5, power * 0.46, power * 0.38))
    if scene.lamp:
        paint(patch(az + 24, 56, 7, 5), (60 * scene.lamp, 57 * scene.lamp, 51 * scene.lamp))
    return np.asarray(image)


def material(spec: Any) -> Any:
    """Turn texture placeholders of a material into Mitsuba bitmaps."""
    if not isinstance(spec, dict):
        return spec
    if "pixels" in spec:
        bitmap = mi.Bitmap(np.array(spec["pixels"][::-1]))
        return {"type": "bitmap", "bitmap": bitmap, "wrap_mode": "mirror"}
    return {key: material(value) for key, value in spec.items()}


def build(scene: Scene, rng: np.random.Generator, size: tuple[int, int], folder: Path) -> Any:
    """Make a Mitsuba scene; meshes travel through PLY files in a folder."""
    el, roll = np.radians(scene.elevation), np.radians(scene.roll)
    target = np.array(scene.target)
    ray = np.array([0.0, -np.cos(el), np.sin(el)])
    up = [float(np.sin(roll)), float(np.cos(roll) * np.sin(el)), float(np.cos(roll) * np.cos(el))]
    look = mi.ScalarTransform4f().look_at(
        origin=(target + scene.distance * ray).tolist(), target=target.tolist(), up=up
    )
    upright = mi.ScalarTransform4f().rotate([1, 0, 0], 90)
    light = mi.Bitmap(room(scene).astype(np.float32))
    floor, uv = geometry.sheet(130, 130, 1.0)
    floor[..., 2] = np.clip(floor[..., 1] - 42, 0, None) ** 2 / 70
    mesh = geometry.grid(floor, uv)
    mesh.write_ply(folder / "table.ply")
    board = {"type": "bitmap", "pixels": textures.table(rng, scene.table)}
    result: dict[str, Any] = {
        "type": "scene",
        "integrator": {"type": "path", "max_depth": 24, "rr_depth": 12},
        "room": {"type": "envmap", "bitmap": light, "to_world": upright},
        "table": {
            "type": "ply",
            "filename": str(folder / "table.ply"),
            "bsdf": material({
                "type": "twosided",
                "bsdf": {
                    "type": "principled", "base_color": board, "roughness": 0.55, "specular": 0.3,
                },
            }),
        },
        "camera": {
            "type": "thinlens",
            "fov": scene.fov,
            "aperture_radius": 0.12,
            "focus_distance": scene.distance - 1.5,
            "to_world": look,
            "film": {
                "type": "hdrfilm", "width": size[0], "height": size[1], "pixel_format": "rgb",
                "rfilter": {"type": "gaussian"},
            },
            "sampler": {"type": "independent"},
        },
    }  # fmt: skip
    for k, part in enumerate(scene.parts):
        path = folder / f"part{k}.ply"
        part.mesh.write_ply(path)
        result[f"part{k}"] = {
            "type": "ply",
            "filename": str(path),
            "face_normals": part.mesh.flat,
            "bsdf": material(part.material),
        }
    return mi.load_dict(result)


def trace(scene: Any, spp: int, seed: int, passes: int, label: str) -> Array:
    """Render in passes, tame outliers that only one pass has, and remove left-over noise."""
    stack = []
    for k in range(passes):
        image = mi.render(scene, spp=max(1, spp // passes), seed=seed + k)  # type: ignore[arg-type]
        stack.append(np.array(image, dtype=float)[..., :3])
        print(f"\r{label}: pass {k + 1}/{passes}", end="", file=sys.stderr, flush=True)
    samples = np.stack(stack)
    if passes > 2:
        second = np.sort(samples, axis=0)[-2]
        samples = np.minimum(samples, 1.2 * second + 0.05)
    return denoise(samples.mean(0), samples.var(0) / max(passes - 1, 1))


def denoise(image: Array, variance: Array, reach: int = 4, strength: float = 0.8) -> Array:
    """Non-local means that knows the variance of every pixel, so that detail is kept."""

    def box(values: Array) -> Array:
        total = np.zeros_like(values)
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                total += np.roll(values, (dy, dx), (0, 1))
        return total / 9

    smooth_variance = np.maximum(box(variance), 1e-8)
    total, weights = np.zeros_like(image), np.zeros(image.shape[:2])
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            other = np.roll(image, (dy, dx), (0, 1))
            other_variance = np.roll(smooth_variance, (dy, dx), (0, 1))
            spread = smooth_variance + other_variance
            gap = ((image - other) ** 2 - spread) / (1e-6 + strength**2 * spread)
            weight = np.exp(-np.maximum(box(gap.mean(-1)), 0))
            total += weight[..., None] * other
            weights += weight
    return total / weights[..., None]


def develop(linear: Array, scene: Scene, rng: np.random.Generator) -> Image.Image:
    """Turn radiance into a phone-like picture: exposure, tone curve, vignette, noise, blur."""
    h, w = linear.shape[:2]
    bright = np.percentile(linear.mean(-1), 75)
    image = linear * (scene.exposure / bright) * np.array(scene.balance)
    yy, xx = np.mgrid[:h, :w]
    x, y = (xx - w / 2) / (w / 2), (yy - h / 2) / (w / 2)
    angle, strength = np.radians(scene.shadow[0]), scene.shadow[1]
    fall = 1 - 0.16 * (x * x + y * y)
    fall *= 1 - strength * np.clip(0.5 + 0.5 * (x * np.cos(angle) + y * np.sin(angle)), 0, 1) ** 2
    image = np.maximum(image * fall[..., None], 0)
    knee = 0.72
    over = np.maximum(image - knee, 0)
    image = np.minimum(image, knee) + (1 - knee) * (1 - np.exp(-over / (1 - knee)))
    image = np.where(image < 0.0031308, 12.92 * image, 1.055 * image ** (1 / 2.4) - 0.055)
    image = image + 0.02 * np.sin(2 * np.pi * (image - 0.5)) * -1.0
    soft = Image.fromarray(textures.to_pixels(image)).filter(ImageFilter.GaussianBlur(0.45))
    grain = rng.normal(0, 1, (h, w, 1)) * 0.008 + rng.normal(0, 1, (h, w, 3)) * 0.005
    return Image.fromarray(textures.to_pixels(np.asarray(soft) / 255 + grain))


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, then move it into place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(data)
    temporary.replace(path)


def jpeg(image: Image.Image) -> bytes:
    """Encode as JPEG, lowering the quality only where the size limit asks for it."""
    data = b""
    for quality in range(90, 60, -2):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality, optimize=True)
        data = buffer.getvalue()
        if len(data) < MAX_BYTES:
            break
    return data


def write_labels(folder: Path) -> None:
    """Write manifest.csv for the pictures that are in the folder."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label"])
    for name, (label, _) in sorted(ITEMS.items()):
        if (folder / f"{name}.jpg").exists():
            writer.writerow([f"{name}.jpg", label])
    write_atomic(folder / "manifest.csv", text.getvalue().encode())


def render_item(name: str, out: Path, spp: int, size: tuple[int, int], passes: int) -> None:
    """Render one item to ``out/name.jpg``."""
    start = time.perf_counter()
    seed = zlib.crc32(name.encode()) % 1_000_003
    rng = np.random.default_rng(seed)
    scene = ITEMS[name][1](rng)
    with tempfile.TemporaryDirectory(prefix="samples-") as folder:
        built = build(scene, rng, size, Path(folder))
    linear = trace(built, spp * scene.effort, seed, passes, name)
    data = jpeg(develop(linear, scene, rng))
    write_atomic(out / f"{name}.jpg", data)
    seconds = time.perf_counter() - start
    print(f"\r{name}: {seconds:.0f} s, {len(data) / 1000:.0f} kB      ", file=sys.stderr)


def parse_size(text: str) -> tuple[int, int]:
    """Read WIDTHxHEIGHT."""
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT") from None
    if width < 16 or height < 16:
        raise argparse.ArgumentTypeError("the picture must be at least 16x16")
    return width, height


def main(argv: list[str] | None = None) -> int:
    """Command line entry point."""
    parser = argparse.ArgumentParser(description="Render the sample pictures with Mitsuba 3.")
    parser.add_argument("--only", nargs="+", choices=sorted(ITEMS), metavar="NAME",
                        help="render these items only: " + ", ".join(sorted(ITEMS)))  # fmt: skip
    parser.add_argument("--out", type=Path, default=ROOT / "samples", metavar="DIR",
                        help="folder for the pictures (default: samples/)")  # fmt: skip
    parser.add_argument("--spp", type=int, default=160, help="samples per pixel (default: 160)")
    parser.add_argument("--size", type=parse_size, default=(512, 384), metavar="WxH",
                        help="picture size (default: 512x384)")  # fmt: skip
    parser.add_argument("--variant", default="scalar_rgb",
                        help="Mitsuba variant (default: scalar_rgb)")  # fmt: skip
    args = parser.parse_args(argv)
    if args.spp < 1:
        parser.error("--spp must be positive")
    mi.set_variant(args.variant)
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.only or list(ITEMS):
        render_item(name, args.out, args.spp, args.size, passes=min(8, args.spp))
    write_labels(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
