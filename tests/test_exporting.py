"""From a checkpoint or a network to a bundle, in Python and on the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from edge_rnn.export import export_bundle, verify
from edge_rnn.export.checkpoint import Checkpoint
from edge_rnn.export.source import calibration_of, from_checkpoint, samples_of
from float_models import facts_of, float_graph

import edge_rnn
from edge_rnn import golden
from edge_rnn.bundle import read_bundle
from edge_rnn.cli.main import main
from edge_rnn.errors import BundleError, UsageError
from edge_rnn.stored_zip import pack_zip, unpack_zip

MODELS = Path(__file__).parent / "models"
GRU = MODELS / "watch_gru32.pt"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    return {
        precision: export_bundle(GRU, folder / f"{precision}.ernn", precision=precision, steps=200, input_scale="range")
        for precision in ("float32", "int8")
    }


def test_a_checkpoint_gives_a_bundle_that_gives_the_networks_numbers(exported):
    checkpoint = Checkpoint.load(GRU)
    x = np.asarray(checkpoint.golden_x, np.float32)
    with torch.no_grad():
        expected = checkpoint.build()(torch.from_numpy(x)[None])[0][0].numpy()
    model = edge_rnn.load(exported["float32"].path, "onnxruntime")
    np.testing.assert_allclose(model.run(x), expected, rtol=1e-4, atol=1e-4)
    manifest = model.manifest
    assert list(manifest.labels) == checkpoint.labels
    assert manifest.rate_hz == checkpoint.rate_hz
    assert manifest.warmup_samples == manifest.gap.long == checkpoint.window
    assert [channel.name for channel in manifest.channels] == [channel["name"] for channel in checkpoint.channels]
    assert manifest.training


def test_int8_tells_how_far_torch_agrees(exported):
    done = exported["int8"]
    assert done.torch_agreement > 0.98
    assert done.report.ok
    assert all(agreement.bit_exact for agreement in done.report.stream.values())
    told = json.loads(json.dumps(done.to_json(), allow_nan=False))
    assert told["precision"] == "int8"
    assert told["torch_argmax_agreement"] == done.torch_agreement
    assert told["bytes"] == done.path.stat().st_size


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_the_same_checkpoint_gives_the_same_bytes(exported, precision, tmp_path):
    again = export_bundle(GRU, tmp_path / f"{precision}.ernn", precision=precision, steps=10, input_scale="range")
    assert again.path.read_bytes() == exported[precision].path.read_bytes()


def test_verify_takes_a_path_and_torch_as_the_reference(exported):
    assert verify(exported["float32"].path, "numpy", 300, torch=True).ok
    assert verify(exported["int8"].bundle, "onnxruntime", 100).stream["onnxruntime"].bit_exact


def test_a_checkpoint_knows_its_own_facts(tmp_path):
    with pytest.raises(UsageError, match="its own labels, rate_hz"):
        export_bundle(GRU, tmp_path / "m.ernn", labels=["a"], rate_hz=50)


def test_an_unknown_precision_is_refused(tmp_path):
    with pytest.raises(BundleError, match="float16"):
        export_bundle(GRU, tmp_path / "m.ernn", precision="float16")


def test_an_int8_bundle_of_a_module(tmp_path):
    torch.manual_seed(0)

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.head = torch.nn.LSTM(2, 8, batch_first=True), torch.nn.Linear(8, 3)

        def forward(self, x):
            return self.head(self.rnn(x)[0][:, -1])

    sample = np.random.default_rng(0).normal(0, 1, (5, 400, 2))
    done = export_bundle(
        Net().eval(), tmp_path / "m.ernn", precision="int8", channels=["a", "b"], labels="xyz", rate_hz=100,
        sample=sample, name="mine", version="2.1.0", window=77, steps=200, input_scale="range",
    )  # fmt: skip
    assert done.torch_agreement > 0.95
    assert done.bundle.manifest.title == "mine@2.1.0"
    assert done.bundle.manifest.warmup_samples == 77
    assert done.bundle.graph.precision == "int8"


def test_calibration_is_spread_over_a_long_sample_and_keeps_where_recordings_start():
    x, starts = samples_of(np.arange(20_000).reshape(10, 2000, 1), 1)
    assert starts == tuple(range(0, 20_000, 2000))
    picked, at = calibration_of(x, starts)
    assert len(picked) == 4096
    assert at[0] == 0
    jumps = {0, *(np.flatnonzero(np.diff(picked[:, 0]) != 1) + 1)}
    assert jumps <= set(at)  # state never runs across a jump
    for start in at:
        assert picked[start, 0] % 2000 == 0 or start in jumps
    short, at = calibration_of(x[:3000], (0, 2000))
    assert len(short) == 3000
    assert at == (0, 2000)


@pytest.mark.parametrize("bad", [np.zeros((3, 2)), np.full((9, 3), np.nan), "abc", np.zeros((1, 3)), np.zeros(3)])
def test_a_sample_that_is_none_is_refused(bad):
    with pytest.raises(UsageError, match="sample"):
        samples_of(bad, 3)


def test_facts_of_a_checkpoint_are_those_of_its_channels():
    source = from_checkpoint(Checkpoint.load(GRU))
    assert len(source.facts.channels) == source.graph.inputs
    assert source.samples.dtype == np.float32


def test_export_on_the_command_line(tmp_path, capsys):
    out = tmp_path / "m.ernn"
    assert main(["export", str(GRU), "-o", str(out), "--precision", "float32", "--json"]) == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert told["verify"]["ok"]
    assert told["verify"]["engines"]["numpy"]["steps"] == 10_000
    assert "numpy" in said.err
    assert read_bundle(out).manifest.name == "m"


def test_import_on_the_command_line(tmp_path, capsys):
    torch.manual_seed(0)
    torch.save(torch.nn.Linear(1, 2).state_dict(), tmp_path / "s.pt")
    np.savetxt(tmp_path / "x.csv", np.arange(50.0))
    spec = 'rate_hz = 10\nchannels = ["x"]\nlabels = ["a", "b"]\nsample = "x.csv"\n[[layer]]\nkind = "linear"\n'
    (tmp_path / "spec.toml").write_text(spec)
    arguments = [
        "import",
        str(tmp_path / "s.pt"),
        "--spec",
        str(tmp_path / "spec.toml"),
        "-o",
        str(tmp_path / "m.ernn"),
    ]
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verify"]["ok"]


def test_verify_exits_4_for_a_difference_and_still_gives_its_json(exported, monkeypatch, capsys):
    tolerance = -1.0  # nothing is within it
    monkeypatch.setattr(golden, "TOLERANCE", tolerance)
    assert main(["verify", str(exported["float32"].path), "--engine", "numpy", "--steps", "20", "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["ok"] is False
    assert main(["verify", str(exported["float32"].path), "--engine", "numpy", "--steps", "20"]) == 4
    assert "DIFFERS" in capsys.readouterr().out


def test_naming_an_engine_that_is_not_installed_exits_2(exported, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    assert main(["verify", str(exported["int8"].path), "--engine", "onnxruntime"]) == 2
    assert "pip install" in capsys.readouterr().err
    assert main(["verify", str(exported["int8"].path), "--steps", "20", "--json"]) == 0
    assert "skipped" in json.loads(capsys.readouterr().out)["engines"]["onnxruntime"]


def test_a_bare_onnx_file_is_inspected_but_cannot_be_verified(exported, tmp_path, capsys):
    path = tmp_path / "bare.onnx"
    path.write_bytes(exported["int8"].bundle.onnx)
    assert main(["inspect", str(path)]) == 0
    assert "bare@0, int8" in capsys.readouterr().out
    assert main(["verify", str(path)]) == 2
    assert ".ernn" in capsys.readouterr().err


def test_inspect_tells_every_fact_to_people_too(exported, capsys):
    assert main(["inspect", str(exported["int8"].path)]) == 0
    text = capsys.readouterr().out
    for word in ("watch", "int8", "50 Hz", "gru 32 tanh > dense 7", "s0 int32 x 32", "bundle digest")[1:]:
        assert word in text


BUNDLES = Path(__file__).parent / "bundles"


def make_format_1():
    """How the bundles in tests/bundles were made; they stay as they are when the writer changes."""
    from edge_rnn.export.bundle_writer import build_bundle
    from int8_models import golden_graph, read_golden

    for name, graph in (("float32", float_graph("mixed")), ("int8", golden_graph(read_golden("GRU5_normalised")))):
        (BUNDLES / f"format1_{name}.ernn").write_bytes(build_bundle(graph, facts_of(graph, name="format1")))


@pytest.mark.parametrize("engine", ["numpy", "onnxruntime", "native"])
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_bundle_of_format_1_is_readable_for_ever(precision, engine):
    path = BUNDLES / f"format1_{precision}.ernn"
    model = edge_rnn.load(path, engine)  # proves itself on the golden stream
    assert model.manifest.title == "format1@1.0.0"
    assert model.manifest.format == 1
    assert golden.compare_golden(read_bundle(path), model.engine).ok


def test_a_bundle_of_another_major_format_is_refused():
    members = unpack_zip((BUNDLES / "format1_int8.ernn").read_bytes(), "test")
    members["manifest.json"] = members["manifest.json"].replace(b'"format": 1', b'"format": 2')
    from edge_rnn.bundle import parse_bundle

    with pytest.raises(BundleError, match=r"format is 2, this release reads 1\.\.1: upgrade"):
        parse_bundle(pack_zip(members))
