"""The two commands a newcomer runs first."""

from __future__ import annotations

import json

import pytest


def test_demo_shows_every_picture_right_or_wrong(command, tiny_model, photo_folder, tmp_path):
    from recyclenet.data.manifest import Manifest, Sample, write_manifest

    paths = [photo_folder / label / f"{label}1.jpg" for label in ("glass", "metal", "paper")]
    rows = [Sample(path, path.parent.name) for path in paths] + [Sample(paths[0], "paper")]
    write_manifest(Manifest(tuple(rows)), tmp_path / "set.csv")
    page = tmp_path / "page.html"
    code, out, err = command(
        "demo", "--model", tiny_model, "--pictures", tmp_path / "set.csv", "--out", page
    )
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[1:5]] == ["right"] * 3 + ["WRONG"]
    assert "3 of 4 right" in out
    assert str(page) in out
    html = page.read_text()
    assert html.count("<article") == 4
    assert html.count("data:image/jpeg") == 8


def test_demo_goes_on_after_a_bad_picture(command, tiny_model, photo_folder, tmp_path):
    (tmp_path / "set" / "glass").mkdir(parents=True)
    (tmp_path / "set" / "glass" / "bad.jpg").write_bytes(b"")
    (tmp_path / "set" / "glass" / "good.jpg").write_bytes(
        (photo_folder / "glass" / "glass1.jpg").read_bytes()
    )
    code, out, err = command(
        "demo", "--model", tiny_model, "--pictures", tmp_path / "set", "--out", tmp_path / "p.html"
    )
    assert code == 3
    assert "bad.jpg is empty" in err
    assert "1 of 2 right" in out
    assert "bad.jpg is empty" in (tmp_path / "p.html").read_text()


def test_doctor_finds_a_whole_installation_whole(command, tiny_model):
    code, out, _ = command("doctor", "--model", tiny_model)
    assert code == 0
    assert out.splitlines()[-1] == "no problems found"
    assert "intact; glass, metal, paper" in out


@pytest.mark.parametrize("kind", ["missing", "cut"])
def test_doctor_finds_a_bad_model(command, tiny_model, tmp_path, kind):
    path = tmp_path / "bad.onnx"
    if kind == "cut":
        path.write_bytes(tiny_model.read_bytes()[:-1])
    code, out, err = command("doctor", "--json", "--model", path)
    facts = json.loads(out)
    assert (code, err) == (1, "")
    assert "bad.onnx" in facts["problems"][0]
    assert "model" not in facts
    assert facts["light"]["numpy"]
    code, out, _ = command("doctor", "--model", path)
    assert out.splitlines()[-1] == "problems found"


def test_doctor_names_what_is_not_installed(command, tiny_model, monkeypatch):
    from importlib import metadata

    real = metadata.version

    def without_some(name: str) -> str:
        if name in ("pillow-heif", "simplejpeg"):
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", without_some)
    code, out, _ = command("doctor", "--model", tiny_model)
    assert code == 1
    assert "pip install 'recyclenet[heic]'" in out
    assert "problem: simplejpeg is not installed" in out
