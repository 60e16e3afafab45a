"""What a user and a script get from `recyclenet classify`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

FIELDS = [
    *("path", "label", "confidence", "probabilities", "stream", "bin", "known", "unknown"),
    *("expected_cost", "error"),
]


def rows_of(out: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.splitlines()]


def test_real_command_reads_what_it_can_and_names_the_rest(run_cli, tiny_model, messy_folder):
    good = messy_folder / "good"
    done = run_cli(
        "classify", "--json", "--top-k", "2", "--model", tiny_model,
        "--", "-dash.jpg", ".", "../bad", "none.jpg", "玻璃瓶.jpg", "*🍾.jpg", "two words.jpg",
        cwd=good,
    )  # fmt: skip
    rows = rows_of(done.out)
    num_good, num_bad = len(list(good.iterdir())), len(list((messy_folder / "bad").iterdir()))
    assert len(rows) == 1 + num_good + num_bad + 4
    assert done.code == 3
    assert done.err == f"{num_bad + 1} of {len(rows)} photos have no answer\n"
    assert [row["path"] for row in rows[-4:]] == [
        "none.jpg", "玻璃瓶.jpg", "bottle 🍾.jpg", "two words.jpg",
    ]  # fmt: skip
    assert rows[0]["path"] == "-dash.jpg"
    for row in rows:
        assert list(row) == FIELDS
        if str(row["path"]).startswith("../bad/") or row["path"] == "none.jpg":
            assert row["error"]
            assert (row["label"], row["confidence"], row["known"]) == (None, None, False)
        else:
            assert row["error"] is None
            assert len(row["probabilities"]) == 2
            assert row["confidence"] == row["probabilities"][row["label"]]
    assert "玻璃瓶.jpg" in done.out  # readable as it is, not only as an escape


def test_whatever_the_encoding_of_stdout_rows_stay_json(run_cli, tiny_model, messy_folder):
    done = run_cli(
        "classify", "--json", "--model", tiny_model, "bottle 🍾.jpg", "玻璃瓶.jpg",
        cwd=messy_folder / "good", env={"PYTHONIOENCODING": "latin-1"},
    )  # fmt: skip
    assert [row["path"] for row in rows_of(done.out)] == ["bottle 🍾.jpg", "玻璃瓶.jpg"]
    assert done.code == 0


def test_table_for_people(command, tiny_model, photo_folder):
    paths = [photo_folder / "glass" / "glass1.jpg", photo_folder / "paper" / "paper1.jpg"]
    code, out, err = command("classify", "--model", tiny_model, "--top-k", 2, *paths)
    header, glass, paper = out.splitlines()
    assert (code, err) == (0, "")
    assert header.split() == ["label", "confidence", "bin", "photo"]
    for line, label, path in ((glass, "glass", paths[0]), (paper, "paper", paths[1])):
        assert line.startswith(label)
        assert "recycling bin" in line
        assert str(path) in line
        assert line.count("%") == 2


def test_bad_picture_of_a_table_goes_to_stderr(command, tiny_model, messy_folder, photo_folder):
    code, out, err = command(
        "classify", "--model", tiny_model, messy_folder / "bad" / "text.jpg",
        photo_folder / "glass" / "glass1.jpg",
    )  # fmt: skip
    assert code == 3
    assert len(out.splitlines()) == 2
    assert "text.jpg" in err.splitlines()[0]
    assert err.splitlines()[1] == "1 of 2 photos have no answer"


def test_name_that_would_break_the_table(command, tiny_model, photo_folder, tmp_path):
    name = "two\nlines\x1b[31m.jpg"
    shutil.copy(photo_folder / "glass" / "glass1.jpg", tmp_path / name)
    code, out, _ = command("classify", "--model", tiny_model, tmp_path)
    assert code == 0
    assert len(out.splitlines()) == 2
    assert "\x1b" not in out
    code, out, _ = command("classify", "--json", "--model", tiny_model, tmp_path)
    assert json.loads(out)["path"] == str(tmp_path / name)


def test_unsure_answer_is_sent_to_a_person(command, make_model, photo_folder):
    model = make_model(threshold=0.99)
    path = photo_folder / "glass" / "glass1.jpg"
    _, out, _ = command("classify", "--model", model, path)
    assert "not sure: ask a person" in out
    _, out, _ = command("classify", "--json", "--model", model, path)
    assert json.loads(out)["known"] is False


def test_the_bin_follows_the_rules_in_text_and_in_json(command, make_model, photo_folder, tmp_path):
    city = tmp_path / "city.toml"
    city.write_text('[bins]\nglass = "bottle bank"\n', encoding="utf-8")
    path = photo_folder / "glass" / "glass1.jpg"
    for threshold, rules, words in (
        (0.4, [], "recycling bin"),
        (0.4, ["--rules", city], "bottle bank"),
        (0.99, ["--rules", city], "not sure: ask a person"),
    ):
        options = ["--model", make_model(threshold=threshold), *rules, path]
        _, out, _ = command("classify", *options)
        assert f"  {words}  " in out.splitlines()[1]
        _, out, _ = command("classify", "--json", *options)
        assert json.loads(out)["bin"] == words


@pytest.mark.parametrize("damage", ["cut", "flipped", "foreign", "empty"])
def test_untrusted_model_is_refused_in_one_line(
    command, tiny_model, make_model, photo_folder, tmp_path, damage
):
    content = bytearray(tiny_model.read_bytes())
    if damage == "cut":
        del content[-1:]
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
    elif damage == "empty":
        content.clear()
    model = tmp_path / "bad model.onnx"
    model.write_bytes(bytes(content))
    if damage == "foreign":
        model = make_model(sealed=False)
    code, out, err = command("classify", "--model", model, photo_folder)
    assert (code, out) == (4, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert model.name in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["{empty}"],
        ["{empty}/*.jpg"],
        ["--wat", "x.jpg"],
        ["--top-k", "0", "x.jpg"],
        ["--top-k", "many", "x.jpg"],
        ["--max-megapixels", "1000", "x.jpg"],
        ["--model", "none.onnx", "x.jpg"],
        [],
    ],
    ids=" ".join,
)
def test_mistakes_of_the_user_end_with_2(command, tiny_model, tmp_path, arguments):
    filled = [argument.format(empty=tmp_path) for argument in arguments]
    if "--model" not in filled:
        filled = ["--model", str(tiny_model), *filled]
    code, out, err = command("classify", *filled)
    assert code == 2
    assert err
    assert len(out.splitlines()) <= 1


def test_cap_on_the_size(command, tiny_model, photo_folder, tmp_path):
    from PIL import Image

    Image.new("RGB", (200, 200)).save(tmp_path / "large.png")
    code, out, _ = command(
        "classify", "--json", "--max-megapixels", "0.02", "--model", tiny_model,
        tmp_path / "large.png", photo_folder / "glass" / "glass1.jpg",
    )  # fmt: skip
    large, small = rows_of(out)
    assert code == 3
    assert "200x200" in large["error"]
    assert small["label"] == "glass"


def test_reader_that_goes_away_hears_no_complaint(tiny_model, photo_folder):
    command = [sys.executable, "-m", "recyclenet", "classify", "--json", "--model"]
    with subprocess.Popen(
        [*command, str(tiny_model), *[str(photo_folder)] * 30],  # more than a pipe can hold
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = json.loads(process.stdout.readline())
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 1
    assert first["label"] == "glass"
