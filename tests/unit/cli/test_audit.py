"""What `recyclenet audit` says of photos whose composition is known."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def test_shares_of_classes_and_bins(command, decisive_model, photo_folder, tmp_path):
    rules, page = tmp_path / "city.toml", tmp_path / "page.html"
    rules.write_text("[bins]\nglass = '<b>bank</b>'\n")
    options = ["audit", "--model", decisive_model, "--rules", rules, "--report", page]
    options += [photo_folder / "glass", photo_folder / "paper" / "paper1.jpg"]
    code, out, err = command(*options, "--json")
    assert (code, err) == (0, f"wrote {page}\n")
    row = json.loads(out)
    assert (row["num_photos"], row["num_unanswered"], row["looks_unlike"]) == (13, 0, False)
    assert [material["name"] for material in row["classes"]] == ["glass", "metal", "paper"]
    assert [material["name"] for material in row["bins"]] == ["<b>bank</b>", "recycling bin"]
    for part in ("classes", "bins"):
        assert sum(m["share"] for m in row[part]) == pytest.approx(1, abs=1e-5)
        assert sum(m["num_photos"] for m in row[part]) == 13
        for material in row[part]:
            low, high = material["interval95"]
            assert low <= material["share"] <= high
    glass = row["classes"][0]
    assert glass["naive"] == pytest.approx(12 / 13, abs=1e-6)
    assert glass["share"] == pytest.approx(12 / 13, abs=0.05)
    text = page.read_text("utf-8")
    assert "&lt;b&gt;bank&lt;/b&gt;" in text
    assert "Composition of 13 photos" in text
    assert text.count("position: relative") == 5
    _, out, _ = command(*options)
    lines = out.splitlines()
    assert lines[0].split() == ["class", "photos", "counted", "corrected", "95%", "interval"]
    assert [line.split()[0] for line in lines[1:4]] == ["glass", "metal", "paper"]
    assert [line.split()[0] for line in lines[5:]] == ["bin", "<b>bank</b>", "recycling"]


def test_photos_unlike_the_training_ones_are_warned_of(command, make_model, photo_folder, tmp_path):
    for number in range(30):
        pixels = np.full((20, 20, 3), 100 + number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    statistics = {
        "confusion": {"counts": [[9, 0, 0], [0, 9, 0], [0, 0, 9]], "prior": [0.4, 0.3, 0.3]}
    }
    model = make_model(threshold=0.9, statistics=statistics)
    page = tmp_path / "page.html"
    code, out, err = command("audit", "--json", "--model", model, "--report", page, tmp_path)
    assert code == 0
    assert json.loads(out)["looks_unlike"] is True
    assert "warning: 100% of the answers are not known (5% is usual)" in err
    assert "Warning:" in page.read_text("utf-8")


def test_unreadable_photos_are_counted(command, decisive_model, photo_folder, tmp_path):
    shutil.copytree(photo_folder / "glass", tmp_path / "glass")
    (tmp_path / "glass" / "bad.jpg").write_bytes(b"")
    code, out, err = command("audit", "--json", "--model", decisive_model, tmp_path)
    assert code == 3
    row = json.loads(out)
    assert (row["num_photos"], row["num_unanswered"]) == (12, 1)
    assert "1 of 13 photos have no answer" in err


def test_mistakes_are_one_line(command, tiny_model, decisive_model, make_model, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"")
    broken = make_model(statistics={"confusion": {"counts": [[1]], "prior": [1]}})
    for model, path, code, words in (
        (tiny_model, tmp_path, 2, "no confusions, which an audit needs; export the model again"),
        (broken, tmp_path, 4, "invalid confusions"),
        (decisive_model, tmp_path, 1, "none of the 1 photos can be read"),
        (decisive_model, tmp_path / "none" / "*.jpg", 2, "nothing matches"),
    ):
        done = command("audit", "--model", model, path)
        assert done[:2] == (code, "")
        assert words in done[2]
        assert done[2].count("\n") == 1


def test_a_photo_is_never_replaced_by_the_page(command, decisive_model, photo_folder, tmp_path):
    shutil.copytree(photo_folder / "glass", tmp_path / "glass")
    photo = tmp_path / "glass" / "glass1.jpg"
    before = photo.read_bytes()
    for path in (tmp_path, photo, f"{tmp_path}/**/*.jpg"):
        code, _, err = command(
            "audit", "--model", decisive_model, "--report", photo, "--force", path
        )
        assert code == 2
        assert "is also an input" in err
        assert photo.read_bytes() == before


def test_value_for_python(decisive_model, photo_folder, tmp_path):
    import recyclenet

    seen: list[tuple[int, int | None]] = []

    def progress(done: int, total: int | None, note: str = "") -> None:
        seen.append((done, total))

    result = recyclenet.audit(photo_folder, decisive_model, progress=progress)
    assert repr(result).startswith("Audit(36 photos: glass 3")
    assert "Composition of 36 photos" in result._repr_html_()
    assert seen[-1] == (36, 36)
    again = recyclenet.audit([photo_folder], recyclenet.Classifier(decisive_model))
    assert again.to_row() == result.to_row()
    result.write_page(tmp_path / "page.html")
    assert Path(tmp_path / "page.html").stat().st_size > 1000
