"""Pictures for the surfaces: kraft paper, labels with made-up brands, print and table top.

Every function returns an 8-bit RGB array whose first row is the top of the picture.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]
Array = NDArray[np.float64]
Rng = np.random.Generator
Colour = tuple[int, int, int]

SYLLABLES = (
    "ba", "lo", "ren", "ti", "mar", "sel", "vo", "pen", "gri", "du", "ka", "ne", "tor", "li", "fas",
    "om", "wen", "cha", "ru", "bel", "sta", "mi",
)  # fmt: skip


def noise(shape: tuple[int, int], rng: Rng, beta: float = 1.0, stretch: float = 1.0) -> Array:
    """Tileable noise with a 1/f**beta spectrum, zero mean and unit deviation."""
    fy = np.fft.fftfreq(shape[0])[:, None] * shape[0] * stretch
    fx = np.fft.fftfreq(shape[1])[None, :] * shape[1]
    frequency = np.sqrt(fx**2 + fy**2)
    frequency[0, 0] = 1.0
    spectrum = np.fft.fft2(rng.normal(size=shape)) / frequency**beta
    spectrum[0, 0] = 0
    field = np.real(np.fft.ifft2(spectrum))
    return np.asarray(field / field.std())


def to_pixels(values: Array) -> Pixels:
    """Clip floats in 0..1 to 8 bits."""
    return np.asarray(np.clip(values * 255 + 0.5, 0, 255).astype(np.uint8))


def shade(pixels: Image.Image | Pixels, factor: Array) -> Pixels:
    """Multiply a picture by a per-pixel factor."""
    return to_pixels(np.asarray(pixels, dtype=float) / 255 * factor[..., None])


def font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The typeface that comes with Pillow, so that no system font is needed."""
    return ImageFont.load_default(size=size)


def words(rng: Rng, count: int) -> str:
    """Made-up words."""
    parts = ["".join(rng.choice(SYLLABLES, size=int(rng.integers(1, 5)))) for _ in range(count)]
    return " ".join(parts)


def text_block(
    draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], rng: Rng, size: int, ink: Colour
) -> None:
    """Fill a box with justified lines of made-up text."""
    face = font(size)
    y = box[1]
    while y + size <= box[3]:
        last = rng.random() < 0.09
        limit = box[0] + (box[2] - box[0]) * (rng.uniform(0.3, 0.8) if last else 1.0)
        x = float(box[0])
        while True:
            word = words(rng, 1)
            length = draw.textlength(word, font=face)
            if x + length > limit:
                break
            draw.text((x, y), word, fill=ink, font=face)
            x += length + size * 0.3
        y += int(size * 1.3)


def centred(
    draw: ImageDraw.ImageDraw,
    x: float,
    y: float,
    text: str,
    size: float,
    ink: Colour,
    bold: int = 0,
) -> None:
    """Draw a line of text centred at a point."""
    draw.text((x, y), text, fill=ink, font=font(size), anchor="mm", stroke_width=bold)


def barcode(
    draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], rng: Rng, unit: int = 2
) -> None:
    """A bar code on a white panel."""
    x0, y0, x1, y1 = box
    draw.rectangle(box, fill=(250, 250, 248))
    x = x0 + 4 * unit
    while x < x1 - 5 * unit:
        bar = unit * int(rng.integers(1, 4))
        draw.rectangle((x, y0 + 3 * unit, x + bar - 1, y1 - 9 * unit), fill=(15, 15, 18))
        x += bar + unit * int(rng.integers(1, 4))
    digits = " ".join(str(d) for d in rng.integers(0, 10, 12))
    centred(draw, (x0 + x1) / 2, y1 - 4.5 * unit, digits, 5.5 * unit, (15, 15, 18))


def kraft(
    size: tuple[int, int], rng: Rng, flutes: int, base: Colour = (176, 132, 88)
) -> Image.Image:
    """Brown liner board: fibres, mottling and the faint stripes of the flutes below."""
    w, h = size
    tone = 1 + 0.025 * noise((h, w), rng, 1.2) + 0.02 * noise((h, w), rng, 0.6, 0.35)
    tone += 0.018 * noise((h, w), rng, 0.2)
    if flutes:
        tone += 0.018 * np.sin(np.linspace(0, 2 * np.pi * flutes, w))[None, :]
    dark = noise((h, w), rng, 0.55) > 3.1
    tone -= 0.18 * dark
    flat = np.full((h, w, 3), base, dtype=np.uint8)
    return Image.fromarray(shade(flat, tone))


def box_panel(rng: Rng, kind: str) -> Pixels:
    """Faces of the shipping box: plain, with a printed mark, or with an address label."""
    image = kraft((1000, 760), rng, 36)
    draw = ImageDraw.Draw(image)
    ink = (62, 44, 32)
    if kind == "mark":
        for x in (690, 790):
            draw.polygon([(x, 560), (x + 35, 500), (x + 70, 560)], fill=ink)
            draw.rectangle((x + 23, 560, x + 47, 640), fill=ink)
        draw.rectangle((670, 655, 880, 664), fill=ink)
        centred(draw, 260, 560, "NORDVALE", 84, ink, 3)
        centred(draw, 260, 630, "box 24 / 330 x 240 x 160 mm", 28, ink)
    if kind == "label":
        draw.rectangle((520, 180, 930, 560), fill=(238, 238, 234))
        centred(draw, 600, 222, "PARCEL", 38, (20, 20, 20), 1)
        draw.line((530, 250, 920, 250), fill=(30, 30, 30), width=3)
        text_block(draw, (545, 265, 780, 400), rng, 22, (40, 40, 40))
        barcode(draw, (545, 415, 905, 545), rng, 3)
    return np.asarray(image)


def beer_label(rng: Rng, brand: str, paper: Colour, ink: Colour, accent: Colour) -> Pixels:
    """A paper bottle label."""
    w, h = 900, 640
    image = Image.new("RGB", (w, h), paper)
    draw = ImageDraw.Draw(image)
    draw.rectangle((14, 14, w - 15, h - 15), outline=accent, width=10)
    draw.rectangle((32, 32, w - 33, h - 33), outline=ink, width=3)
    draw.ellipse((330, 50, 570, 290), fill=accent)
    draw.ellipse((348, 68, 552, 272), outline=paper, width=6)
    for k in range(5):
        x = 400 + 25 * k
        draw.line((450, 250, x, 120), fill=paper, width=6)
        draw.ellipse((x - 12, 98, x + 12, 138), fill=paper)
    centred(draw, 450, 370, brand, 120, ink, 4)
    draw.rectangle((60, 445, w - 61, 500), fill=accent)
    centred(draw, 450, 472, words(rng, 4).upper(), 34, paper, 1)
    text_block(draw, (60, 520, 560, 600), rng, 19, ink)
    barcode(draw, (640, 510, 850, 605), rng)
    return shade(image, 1 + 0.02 * noise((h, w), rng, 0.5))


def can_print(rng: Rng) -> Pixels:
    """Wrap-round print of a drink can, bare metal at both ends."""
    w, h = 1400, 800
    image = Image.new("RGB", (w, h), (222, 222, 224))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 78, w, 712), fill=(178, 22, 30))
    wave = np.linspace(0, w, 200)
    for lift, colour in ((0, (228, 228, 230)), (16, (20, 40, 110)), (34, (228, 228, 230))):
        line = 470 + lift * 2.2 + 70 * np.sin(wave / w * 4 * np.pi)
        points = [*zip(wave, line, strict=True)]
        under = [*zip(wave[::-1], line[::-1] + 24, strict=True)]
        draw.polygon([(float(x), float(y)) for x, y in points + under], fill=colour)
    for x in (230, 930):
        centred(draw, x, 290, "FIZZOLA", 150, (245, 245, 245), 7)
        centred(draw, x, 400, "cherry soda", 56, (245, 214, 120), 2)
        centred(draw, x, 650, "330 ml", 40, (245, 245, 245), 1)
    text_block(draw, (520, 120, 690, 420), rng, 17, (240, 240, 240))
    barcode(draw, (530, 560, 680, 690), rng)
    text_block(draw, (1210, 120, 1380, 420), rng, 17, (240, 240, 240))
    return np.asarray(image)


def tin_label(rng: Rng) -> Pixels:
    """Paper label of a food tin."""
    w, h = 1500, 520
    image = Image.new("RGB", (w, h), (30, 98, 52))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, w, 46), fill=(232, 196, 70))
    draw.rectangle((0, h - 46, w, h), fill=(232, 196, 70))
    for x in (380, 1130):
        centred(draw, x, 140, "Gardenia", 130, (250, 248, 238), 5)
        centred(draw, x, 235, "SWEET CORN & PEAS", 48, (245, 214, 90), 2)
        for _ in range(170):
            px, py = rng.uniform(x - 260, x + 260), rng.uniform(300, 460)
            colour = (240, 200, 60) if rng.random() < 0.5 else (120, 178, 60)
            draw.ellipse((px - 17, py - 15, px + 17, py + 15), fill=colour, outline=(70, 90, 20))
    draw.rectangle((670, 60, 850, 460), fill=(248, 248, 244))
    text_block(draw, (682, 72, 840, 330), rng, 16, (20, 40, 30))
    barcode(draw, (680, 340, 842, 450), rng)
    return shade(image, 1 + 0.02 * noise((h, w), rng, 0.8))


def water_label(rng: Rng) -> Pixels:
    """Wrap-round label of a water bottle."""
    w, h = 1400, 420
    ramp = np.linspace(0, 1, h)[:, None, None]
    sky = (1 - ramp) * np.array([40, 120, 200]) + ramp * np.array([200, 228, 244])
    image = Image.fromarray(np.broadcast_to(sky, (h, w, 3)).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for base in (0, 700):
        hills = [(base + 40, 380), (base + 180, 210), (base + 270, 300), (base + 400, 150)]
        draw.polygon([*hills, (base + 620, 380)], fill=(245, 249, 252))
        centred(draw, base + 310, 110, "alpira", 120, (250, 250, 255), 5)
        centred(draw, base + 310, 350, "natural spring water", 40, (20, 60, 140), 1)
    barcode(draw, (610, 200, 740, 360), rng)
    text_block(draw, (1310, 40, 1395, 380), rng, 13, (250, 250, 255))
    draw.rectangle((0, 0, w, 12), fill=(20, 60, 140))
    draw.rectangle((0, h - 12, w, h), fill=(20, 60, 140))
    return np.asarray(image)


def milk_label(rng: Rng) -> Pixels:
    """Square label of a milk jug."""
    image = Image.new("RGB", (640, 640), (246, 248, 250))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 640, 210), fill=(28, 84, 168))
    centred(draw, 320, 85, "Meadowell", 112, (250, 250, 250), 4)
    centred(draw, 320, 170, "LOW FAT MILK", 44, (250, 226, 120), 1)
    draw.pieslice((-120, 300, 500, 760), 180, 360, fill=(96, 166, 70))
    draw.pieslice((220, 340, 860, 800), 180, 360, fill=(128, 190, 84))
    draw.ellipse((440, 240, 540, 340), fill=(248, 206, 70))
    text_block(draw, (24, 240, 250, 320), rng, 17, (40, 60, 90))
    barcode(draw, (400, 500, 610, 620), rng)
    return np.asarray(image)


def newspaper(rng: Rng) -> Pixels:
    """A page of newsprint: masthead, headlines, columns and two grey pictures."""
    w, h = 1500, 2000
    image = Image.new("RGB", (w, h), (214, 209, 198))
    draw = ImageDraw.Draw(image)
    ink = (46, 45, 46)
    for top in (0, 1000):
        title = "The Harbour Courier" if top else words(rng, 3).title()
        centred(draw, w / 2, top + 75, title, 112 if top else 84, ink, 3 if top else 2)
        draw.line((50, top + 145, w - 50, top + 145), fill=ink, width=4)
        draw.line((50, top + 180, w - 50, top + 180), fill=ink, width=2)
        centred(draw, w / 2, top + 163, words(rng, 12), 18, ink)
        centred(draw, 560, top + 225, words(rng, 4).capitalize(), 62, ink, 2)
        for column in range(5):
            x = 50 + column * 284
            text_block(draw, (x, top + 280, x + 262, top + 975), rng, 19, ink)
        for x0, y0, x1, y1 in ((334, 400, 880, 720), (1186, 200, 1448, 480)):
            field = noise((y1 - y0, x1 - x0), rng, 1.9)
            ramp = np.linspace(0.75, 0.25, y1 - y0)[:, None]
            grey = to_pixels(np.repeat((ramp + 0.12 * field)[..., None], 3, 2) * 0.8 + 0.1)
            image.paste(Image.fromarray(grey), (x0, top + y0))
    tone = 1 + 0.025 * noise((h, w), rng, 0.4) + 0.012 * noise((h, w), rng, 1.5)
    return shade(image, tone)


def printed_sheet(rng: Rng) -> Pixels:
    """A white office page with a heading and paragraphs."""
    w, h = 1000, 1400
    image = Image.new("RGB", (w, h), (230, 230, 228))
    draw = ImageDraw.Draw(image)
    draw.text((90, 90), words(rng, 3).capitalize(), fill=(40, 40, 50), font=font(46))
    for top in range(180, 1250, 260):
        text_block(draw, (90, top, w - 90, top + 210), rng, 24, (70, 70, 78))
    return shade(image, 1 + 0.01 * noise((h, w), rng, 0.4))


def crisp_print(rng: Rng) -> Pixels:
    """Wrap-round print of a crisp packet; the front is in the middle."""
    w, h = 1600, 1100
    image = Image.new("RGB", (w, h), (214, 120, 18))
    draw = ImageDraw.Draw(image)
    for angle in np.linspace(0, 2 * np.pi, 25)[:-1]:
        tip = [(800 + 1100 * np.cos(angle + d), 560 + 1100 * np.sin(angle + d)) for d in (0, 0.13)]
        draw.polygon([(800, 560), *tip], fill=(226, 148, 28))
    draw.ellipse((480, 190, 1120, 560), fill=(150, 20, 24), outline=(250, 226, 120), width=14)
    centred(draw, 800, 340, "KRUNCHO", 132, (252, 246, 226), 7)
    centred(draw, 800, 455, "ridge cut crisps", 58, (250, 220, 110), 2)
    for _ in range(16):
        x, y, s = rng.uniform(520, 1080), rng.uniform(680, 900), rng.uniform(55, 95)
        colour = (int(rng.integers(228, 250)), int(rng.integers(188, 214)), 96)
        draw.ellipse((x - s, y - 0.7 * s, x + s, y + 0.7 * s), fill=colour, outline=(190, 130, 40))
        for k in range(-2, 3):
            bar = (x + k * s * 0.3, y - 0.5 * s, x + k * s * 0.3, y + 0.5 * s)
            draw.line(bar, fill=(212, 160, 66), width=4)
    centred(draw, 800, 985, "PAPRIKA   40 g", 52, (252, 246, 226), 2)
    for x in (60, 1270):
        text_block(draw, (x, 200, x + 270, 700), rng, 20, (252, 240, 220))
    barcode(draw, (80, 760, 300, 920), rng)
    for y0 in (0, h - 70):
        draw.rectangle((0, y0, w, y0 + 70), fill=(206, 206, 208))
    return np.asarray(image)


def cup_print(rng: Rng) -> Pixels:
    """Wrap-round print of a take-away cup with a sleeve-like brown band."""
    w, h = 1500, 800
    image = Image.new("RGB", (w, h), (232, 229, 222))
    image.paste(kraft((w, 400), rng, 120, (158, 112, 72)), (0, 210))
    draw = ImageDraw.Draw(image)
    for x in (250, 750, 1250):
        draw.ellipse((x - 120, 290, x + 120, 530), fill=(48, 34, 26))
        draw.pieslice((x - 60, 370, x + 40, 480), 0, 180, fill=(240, 230, 214))
        draw.arc((x + 20, 400, x + 68, 455), 270, 90, fill=(240, 230, 214), width=9)
        for k in (-36, -10, 16):
            draw.arc((x + k - 12, 335, x + k + 12, 400), 90, 270, fill=(240, 230, 214), width=6)
        centred(draw, x, 570, "mokkaro", 58, (48, 34, 26), 2)
    stain = noise((h, w), rng, 1.8)[..., None]
    brown = np.array([0.72, 0.55, 0.38])
    mask = np.clip((stain - 1.4) * 0.5, 0, 0.45)
    return to_pixels(np.asarray(image) / 255 * (1 - mask + mask * brown))


def table(rng: Rng, tint: tuple[float, float, float]) -> Pixels:
    """White poster board: slight mottling, grain, a few smudges and specks."""
    n = 1400
    tone = 0.9 * (1 + 0.008 * noise((n, n), rng, 1.5) + 0.004 * noise((n, n), rng, 0.3))
    yy, xx = np.mgrid[-6:7, -6:7]
    for _ in range(60):
        x, y = (int(k) for k in rng.integers(6, n - 6, 2))
        spot = np.exp(-(xx**2 + yy**2) / rng.uniform(0.7, 1.8) ** 2)
        tone[y - 6 : y + 7, x - 6 : x + 7] -= rng.uniform(0.1, 0.4) * spot
    return to_pixels(tone[..., None] * np.array(tint))
