"""A project's folder keeps what its owner changed."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from edge_rnn.export import export_bundle
from edge_rnn.export.firmware_check import check
from edge_rnn.export.firmware_folder import RECORD, edited, write_project

from edge_rnn.cli.main import main
from edge_rnn.errors import UsageError

from .firmware_models import bundle_of
from .int8_models import random_graph, random_layers
from .test_to_c import needs_cc

TEXTS = {"main.c": "main\n", "board/uart.c": "uart\n"}


@pytest.fixture
def folder(tmp_path):
    write_project(TEXTS, tmp_path)
    return tmp_path


def test_a_file_as_it_was_written_is_replaced_and_one_that_was_edited_is_named(folder):
    (folder / "main.c").write_text("mine\n")
    newer = {"main.c": "newer\n", "board/uart.c": "newer\n"}
    assert edited(TEXTS, folder) == edited(newer, folder) == ["main.c"]
    write_project({"board/uart.c": "newer\n"}, folder)
    assert edited(newer, folder) == ["main.c"], "a build that left it out does not make it untouched"
    write_project(newer, folder)
    assert edited(TEXTS, folder) == []


def test_an_edit_that_gives_what_would_be_written_is_none(folder):
    (folder / "main.c").write_text("newer\n")
    assert edited({"main.c": "newer\n"}, folder) == []


def test_a_file_that_was_deleted_is_made_again_and_others_in_the_folder_stay(folder):
    (folder / "main.c").unlink()
    (folder / "notes.txt").write_text("mine\n")
    assert edited(TEXTS, folder) == []
    write_project(TEXTS, folder)
    assert (folder / "main.c").read_text() == "main\n"
    assert (folder / "notes.txt").read_text() == "mine\n"


def test_a_file_that_no_build_wrote_is_never_overwritten(tmp_path):
    (tmp_path / "main.c").write_text("somebody's\n")
    with pytest.raises(UsageError, match=r"did not write there \(main.c\): take another folder, or --force"):
        edited(TEXTS, tmp_path)
    (tmp_path / "main.c").write_text("main\n")
    assert edited(TEXTS, tmp_path) == []


def test_two_projects_share_a_folder_and_its_record(folder):
    write_project({"main.c": "main\n", "other.c": "other\n"}, folder)
    assert edited({**TEXTS, "other.c": "newer\n"}, folder) == []
    assert len((folder / RECORD).read_text().splitlines()) == 3


def test_the_record_is_read_by_sha256sum(folder):
    if shutil.which("sha256sum") is None:
        pytest.skip("no sha256sum: install coreutils")
    subprocess.run(["sha256sum", "--check", "--strict", RECORD], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """Two bundles of one network."""
    source, place = Path(__file__).parent / "models" / "watch_gru32.pt", tmp_path_factory.mktemp("bundles")
    forms = ("int8", "float32")
    return [export_bundle(source, place / f"{form}.ernn", precision=form, steps=300).path for form in forms]


def test_building_anew_keeps_an_edited_main_and_says_so(bundles, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("edge_rnn.cli.firmware._sizes", lambda *_: (None, None))
    first, second = map(str, bundles)
    build = ["--board", "mps2-an386", "--role", "csv", "-o", str(tmp_path / "fw")]
    assert main(["firmware", "build", first, *build]) == 0
    model, mine = tmp_path / "fw" / "model.c", tmp_path / "fw" / "main.c"
    before = model.read_text()
    mine.write_text("/* mine */\n" + mine.read_text())
    capsys.readouterr()
    assert main(["firmware", "build", second, *build, "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["kept"] == ["main.c"]
    assert "kept as you edited them: main.c (--force overwrites)" in err
    assert mine.read_text().startswith("/* mine */")
    assert model.read_text() != before
    assert main(["firmware", "build", second, *build, "--force", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kept"] == []
    assert not mine.read_text().startswith("/* mine */")


def test_building_into_somebody_elses_folder_is_refused_before_anything_is_written(bundles, tmp_path, capsys):
    (tmp_path / "Makefile").write_text("all:\n")
    assert main(["firmware", "build", str(bundles[0]), "--board", "mps2-an386", "-o", str(tmp_path)]) == 2
    assert "did not write there (Makefile)" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["Makefile"]


@needs_cc
def test_a_check_never_runs_on_edited_files(tmp_path):
    rng = np.random.default_rng(0)
    bundle = bundle_of(random_graph(rng, random_layers(rng, ["gru"], 3, [5], 3)))
    for _ in range(2):
        assert check(bundle, "generic", 50, folder=tmp_path).ok
    (tmp_path / "model.c").write_text("/* mine */\n" + (tmp_path / "model.c").read_text())
    with pytest.raises(UsageError, match=r"model.c in .* was edited, a check proves"):
        check(bundle, "generic", 50, folder=tmp_path)
