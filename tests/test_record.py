"""`record`, `replay` and the forms of a recording, through the command line."""

import json

import numpy as np
import pytest
from edge_rnn.export import export_bundle
from edge_rnn.export.readers import read_recordings
from test_cli import MODELS, lines

from edge_rnn.cli.main import main
from edge_rnn.errors import DataError

HEAD = "ax,ay,az,wx,wy,wz"


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("record")
    names = {"gru": "watch_gru32.pt", "lstm": "watch_lstm32.pt"}
    return {
        k: export_bundle(MODELS / v, folder / f"{k}.ernn", precision="int8", steps=300).path for k, v in names.items()
    }


@pytest.fixture
def csv(bundles, tmp_path):
    from edge_rnn import load

    x = load(bundles["gru"]).bundle.golden["x"][:128]
    path = tmp_path / "imu.csv"
    rows = np.column_stack([np.arange(1280) * 20_000, np.tile(x, (10, 1))])
    np.savetxt(path, rows, delimiter=",", header=f"t_us,{HEAD}", comments="", fmt=["%d"] + ["%.9g"] * 6)
    return path


def events(capsys, *arguments):
    """The events on stdout without ids, which hold the stream's name."""
    code = main(["replay", *map(str, arguments)])
    out = lines(capsys.readouterr().out)
    return code, [{k: v for k, v in line.items() if k != "id"} for line in out]


def test_record_then_replay_gives_what_the_csv_gives(bundles, csv, tmp_path, capsys):
    rec = tmp_path / "imu.ernrec"
    assert main(["record", "--source", str(csv), "-o", str(rec), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["samples"], said["channels"]) == (1280, HEAD.split(","))
    code, from_rec = events(capsys, rec, bundles["gru"])
    assert code == 0
    assert len(from_rec) > 0
    assert events(capsys, csv, bundles["gru"]) == (0, from_rec)
    assert events(capsys, bundles["gru"], csv) == events(capsys, bundles["gru"], rec) == (0, from_rec), "either order"
    for form in ("copy.csv", "copy.npz"):
        assert main(["record", "--source", str(rec), "-o", str(tmp_path / form), "--rate", "50"]) == 0
        capsys.readouterr()
        assert events(capsys, tmp_path / form, bundles["gru"]) == (0, from_rec)


def test_replay_says_which_file_is_no_model(bundles, csv, capsys):
    assert main(["replay", str(csv), str(csv)]) == 1
    assert f"{csv} is text, expected a bundle (.ernn)" in capsys.readouterr().err
    assert main(["replay", str(bundles["gru"]), str(bundles["lstm"])]) == 3
    assert f"{bundles['gru']} is a bundle (.ernn), expected lines of samples" in capsys.readouterr().err
    (csv.parent / "notes.txt").write_text("some words\nand more\n")
    assert main(["replay", str(csv.parent / "notes.txt"), str(bundles["gru"])]) == 3
    assert "could be read as a sample: the model wants ax [g]" in capsys.readouterr().err
    assert main(["replay", str(csv), str(csv.parent / "none.ernn")]) == 1
    assert "cannot read the bundle" in capsys.readouterr().err


def test_diff_says_nothing_of_the_same_bundle_and_exits_1_on_a_change(bundles, csv, capsys):
    assert events(capsys, csv, bundles["gru"], "--diff", bundles["gru"]) == (0, [])
    code, changes = events(capsys, csv, bundles["gru"], "--diff", bundles["lstm"])
    assert code == (1 if changes else 0)
    assert {change["type"] for change in changes} <= {"diff"}


def test_recording_refuses_what_it_cannot_do(csv, tmp_path, capsys):
    rec = tmp_path / "x.ernrec"
    assert main(["record", "--source", str(csv), "-o", str(tmp_path / "x.txt")]) == 2
    assert main(["record", "--source", str(csv), "-o", str(rec)]) == 0
    assert main(["record", "--source", str(csv), "-o", str(rec)]) == 2
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    assert main(["record", "--source", str(empty), "-o", str(tmp_path / "y.ernrec")]) == 3
    assert not (tmp_path / "y.ernrec").exists()
    assert "Traceback" not in capsys.readouterr().err


def labelled(folder, capsys):
    """Two recordings of 100 and 60 samples with their labels."""
    folder.mkdir()
    for name, rows in (("one", 100), ("two", 60)):
        source = folder / f"{name}.txt"
        x = np.random.default_rng(rows).normal(0, 1, (rows, 2))
        np.savetxt(source, x, delimiter=",", header="a,b", comments="")
        assert main(["record", "--source", str(source), "-o", str(folder / f"{name}.ernrec"), "--rate", "50"]) == 0
    text = "recording,start,stop,label,subject\none,0,50,up,anna\none,60,100,down,anna\ntwo,10,60,up,ben\n"
    (folder / "labels.csv").write_text(text)
    capsys.readouterr()
    return folder


def test_training_reads_a_folder_of_recordings_with_its_labels(tmp_path, capsys):
    found = read_recordings(labelled(tmp_path / "data", capsys))
    assert (found.rate_hz, found.channels, found.classes) == (50.0, ("a", "b"), ("down", "up"))
    assert found.subjects == ("anna", "ben")
    assert [(found.label[:100] == k).sum() for k in (-1, 0, 1)] == [10, 40, 50]


def test_an_npz_made_with_labels_can_be_trained_on(tmp_path, capsys):
    folder = labelled(tmp_path / "data", capsys)
    two = ["record", "--source", str(folder / "one.ernrec"), "-o", str(tmp_path / "o.npz")]
    assert main(two) == 2  # labels.csv speaks of another recording as well
    (folder / "labels.csv").write_text("recording,start,stop,label,subject\none,0,50,up,anna\none,60,100,down,anna\n")
    assert main(two) == 0
    found = read_recordings(tmp_path / "o.npz")
    assert [(found.label == k).sum() for k in (-1, 0, 1)] == [10, 40, 50]


def test_numbers_go_into_an_npz_and_training_finds_the_hole(tmp_path, capsys):
    source = tmp_path / "holes.txt"
    numbers = [n for n in range(1000) if not 300 <= n < 302 and not 500 <= n < 800]
    source.write_text("seq,a,b\n" + "\n".join(f"{n},{n},{-n}" for n in numbers) + "\n")
    (tmp_path / "labels.csv").write_text(f"recording,start,stop,label\n0,0,400,up\n0,400,{len(numbers)},down\n")
    target = tmp_path / "o.npz"
    assert main(["record", "--source", str(source), "-o", str(target), "--rate", "50"]) == 0
    with pytest.warns(UserWarning, match="2 held, 300 lost, cut into 2 pieces"):
        found = read_recordings(target)
    assert found.rec_id == ("0", "0+1")
    assert np.diff(found.rec_start).tolist() == [500, 200]
    assert found.values(0)[300:302, 0].tolist() == [299, 299]
    assert found.label[300] == found.classes.index("up")
    assert found.values(1)[0, 0] == 800


def test_a_recording_that_does_not_know_its_rate_is_refused_for_training(tmp_path, capsys):
    folder = labelled(tmp_path / "data", capsys)
    for path in folder.glob("*.ernrec"):
        path.unlink()
        assert main(["record", "--source", str(path.with_suffix(".txt")), "-o", str(path)]) == 0
    with pytest.raises(DataError, match="rate"):
        read_recordings(folder)


def test_a_source_of_another_rate_is_warned_of_and_resampled(bundles, csv, tmp_path, capsys):
    rows = np.loadtxt(csv, delimiter=",", skiprows=1)
    twice = np.repeat(rows, 2, axis=0)
    twice[:, 0] = np.arange(len(twice)) * 10_000
    path = tmp_path / "fast.csv"
    np.savetxt(path, twice, delimiter=",", header=f"t_us,{HEAD}", comments="", fmt=["%d"] + ["%.9g"] * 6)
    run = ["run", str(bundles["gru"]), "--source", str(path), "--json"]
    assert main(run) == 0
    assert "use --resample" in capsys.readouterr().err
    assert main([*run, "--resample"]) == 0
    out, err = capsys.readouterr()
    summary = json.loads(err)
    assert summary["samples"]["received"] == pytest.approx(1280, abs=2)
    assert summary["samples"]["imputed"] == summary["samples"]["lost"] == 0
    assert summary["source_clock"]["rate_hz"] == pytest.approx(100)
    assert lines(out)


def test_resampling_without_any_rate_is_refused(bundles, tmp_path, capsys):
    path = tmp_path / "x.csv"
    path.write_text("1,2,3,4,5,6\n" * 50)
    run = ["run", str(bundles["gru"]), "--source", str(path), "--resample"]
    assert main(run) == 2
    assert "--source-rate" in capsys.readouterr().err
    assert main([*run, "--source-rate", "100"]) == 0
