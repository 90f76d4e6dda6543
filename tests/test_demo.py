import json

import pytest

from edge_rnn import load
from edge_rnn.cli.main import main


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "out"
    assert main(["demo", "--out", str(folder), "--epochs", "1"]) == 0
    return folder, json.loads((folder / "figures.json").read_text())


def test_the_demo_leaves_a_page_with_its_pictures_and_two_bundles(figures):
    folder, _ = figures
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 4
    assert "http" not in page
    for precision in ("float32", "int8"):
        assert load(folder / f"watch-{precision}.ernn").manifest.precision == precision


def test_the_demo_measures_on_people_the_model_never_saw(figures):
    folder, found = figures
    manifest = load(folder / "watch-int8.ernn").manifest
    assert manifest.training
    known = {*manifest.training["train_subjects"], *manifest.training["validation_subjects"]}
    assert not known & {"3", "6", "9"}
    assert found["recordings"]["count"] == 42
    assert found["windows"]["int8"]["count"] == sum(row["windows"] for row in found["classes"].values())


def test_even_one_epoch_is_better_than_chance_and_int8_agrees_with_float(figures):
    _, found = figures
    assert found["windows"]["float32"]["accuracy"] > 2 / 7
    assert found["agreement"] > 0.97
    assert found["verify"]["int8"]["ok"]
    assert found["weight_bytes"]["int8"] * 3 < found["weight_bytes"]["float32"]
