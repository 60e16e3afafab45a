"""How fast photos are scanned and compared, beside the usual loop with Pillow and imagehash.

    python benchmarks/scan.py [--photos 100000] [--peer-photos 2000]

Generates so many different JPEGs (320x240) in a temporary folder, scans them in a process of its
own, and prints the rate, the processor time over wall time (cores kept busy) and the peak memory;
then the same for a loop over some of them that computes what a scan keeps of a photo: SHA-256 and
four perceptual hashes. Needs the data extra; nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

SCAN = """
import resource, sys, time
from pathlib import Path
from recyclenet.data.quality.scan import scan_dataset
start = time.perf_counter()
found = scan_dataset(Path(sys.argv[1]))
wall = time.perf_counter() - start
from joblib.externals.loky import get_reusable_executor
get_reusable_executor().shutdown()
usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
processor = sum(usage.ru_utime + usage.ru_stime for usage in usages)
print(len(found.manifest), wall, processor, *(usage.ru_maxrss / 1024 for usage in usages))
"""
PEER = """
import hashlib, sys, time
from pathlib import Path
import imagehash
from PIL import Image, ImageOps
paths = sorted(Path(sys.argv[1]).rglob("*.jpg"))[: int(sys.argv[2])]
start = time.perf_counter()
for path in paths:
    hashlib.sha256(path.read_bytes()).hexdigest()
    image = ImageOps.exif_transpose(Image.open(path))
    for view in (image, ImageOps.mirror(image), ImageOps.flip(image), image.rotate(180)):
        str(imagehash.phash(view, 16))
print(len(paths), time.perf_counter() - start)
"""


def generate(job: tuple[str, int, int]) -> None:
    root, first, last = job
    for number in range(first, last):
        noise = np.random.default_rng(number).integers(0, 256, (9, 12, 3), np.uint8)
        picture = Image.fromarray(noise).resize((320, 240), Image.Resampling.BICUBIC)
        picture.save(Path(root) / f"class{number % 10}" / f"{number}.jpg", quality=85)


def output(script: str, *arguments: object) -> list[float]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [float(word) for word in done.stdout.split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--peer-photos", type=int, default=2_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        for number in range(10):
            (Path(root) / f"class{number}").mkdir()
        start = time.perf_counter()
        jobs = [
            (root, first, min(first + 1000, options.photos))
            for first in range(0, options.photos, 1000)
        ]
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(generate, jobs))
        print(f"generated {options.photos} photos in {time.perf_counter() - start:.0f} s")
        num, wall, processor, megabytes, helper_megabytes = output(SCAN, root)
        peer_num, peer_wall = output(PEER, root, options.peer_photos)
    ours, peers = num / wall, peer_num / peer_wall
    print(
        f"scan: {num:.0f} photos in {wall:.1f} s, {ours:.0f} a second, "
        f"{processor / wall:.2f} cores busy, "
        f"peak memory {megabytes:.0f} MB and {helper_megabytes:.0f} MB for each core's process"
    )
    print(f"Pillow and imagehash: {peers:.0f} a second; scan is {ours / peers:.1f} times as fast")


if __name__ == "__main__":
    main()
