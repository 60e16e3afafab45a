"""What a user and a script get from `recyclenet classify --multi`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import colour


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A photo of two objects on a grey table."""
    image = np.full((240, 320, 3), 120, np.uint8)
    image[30:100, 20:110] = colour("glass", 230)
    image[120:210, 200:290] = colour("paper", 230)
    path = tmp_path / "table.png"
    Image.fromarray(image).save(path)
    return path


@pytest.fixture
def multi(command, tiny_model):
    def run(*words: object) -> tuple[int, str, str]:
        return command("classify", "--multi", "--model", tiny_model, *words)

    return run


def test_one_line_per_object(multi, table) -> None:
    code, out, err = multi(table)
    header, glass, paper = out.splitlines()
    assert (code, err) == (0, "")
    assert header.split() == ["label", "confidence", "bin", "photo", "box"]
    for line, label in ((glass, "glass"), (paper, "paper")):
        assert line.startswith(label)
        assert "recycling bin" in line
        assert str(table) in line
    left, top, right, bottom = map(int, glass.split()[-1].split(","))
    assert abs(left - 20) + abs(top - 30) + abs(right - 110) + abs(bottom - 100) < 20


def test_nothing_found_is_said(command, make_model, tmp_path) -> None:
    path = tmp_path / "empty.png"
    Image.new("RGB", (320, 240), (120, 120, 120)).save(path)
    model = make_model(threshold=0.9)
    code, out, err = command("classify", "--multi", "--model", model, path)
    assert (code, err) == (0, "")
    assert out.splitlines()[1].split()[:4] == ["-", "-", "nothing", "found"]
    _, out, _ = command("classify", "--multi", "--json", "--model", model, path)
    assert json.loads(out)["objects"] == []


def test_rows(multi, table, messy_folder) -> None:
    code, out, err = multi("--json", "--top-k", 1, table, messy_folder / "bad" / "text.jpg")
    good, bad = map(json.loads, out.splitlines())
    assert code == 3
    assert err == "1 of 2 photos have no answer\n"
    assert (good["path"], good["width"], good["height"]) == (str(table), 320, 240)
    assert [one["label"] for one in good["objects"]] == ["glass", "paper"]
    assert {"box", "confidence", "bin", "known", "unknown", "stream"} <= set(good["objects"][0])
    assert len(good["objects"][0]["probabilities"]) == 1
    assert bad["error"]
    assert bad["objects"] == []


def test_pictures_with_boxes(multi, table, tmp_path) -> None:
    out_folder = tmp_path / "boxes"
    before = table.read_bytes()
    code, _, err = multi("--out", out_folder, table, "no-such.jpg")
    assert code == 3
    assert f"wrote 1 pictures in {out_folder}" in err
    with Image.open(out_folder / "table.png") as drawn, Image.open(table) as photo:
        assert drawn.size == photo.size
        assert np.any(np.asarray(drawn) != np.asarray(photo))
    assert table.read_bytes() == before
    assert multi("--out", out_folder, table)[0] == 0  # its own picture may be replaced


def test_no_picture_replaces_the_users_own(multi, table, tmp_path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    Image.new("RGB", (4, 4)).save(folder / "table.png")
    before = (folder / "table.png").read_bytes()
    for words in (["--out", folder, table], ["--out", table.parent, table, "--force"]):
        code, out, err = multi(*words)
        assert (code, out, err.count("\n")) == (2, "", 1)
    assert (folder / "table.png").read_bytes() == before
    assert multi("--out", folder, "--force", table)[0] == 0
    assert (folder / "table.png").read_bytes() != before


def test_rules_and_mirror_images_apply_to_each_object(multi, table, tmp_path) -> None:
    city = tmp_path / "city.toml"
    city.write_text('[bins]\nglass = "bottle bank"\n', encoding="utf-8")
    code, out, _ = multi("--rules", city, "--tta", table)
    assert code == 0
    assert "bottle bank" in out.splitlines()[1]
    assert "bottle bank" not in out.splitlines()[2]


def test_a_limit_on_pixels_applies(multi, table) -> None:
    code, out, err = multi("--max-megapixels", 0.05, table)
    assert code == 3
    assert len(out.splitlines()) == 1
    assert "megapixels" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--multi", "--max-risk", "0.1"], "--max-risk"),
        (["--out", "boxes"], "--multi"),
        (["--force"], "--multi"),
    ],
)
def test_what_makes_no_sense_together_is_refused(
    command, tiny_model, table, tmp_path, monkeypatch, words, said
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = command("classify", "--model", tiny_model, *words, table)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert not (tmp_path / "boxes").exists()
