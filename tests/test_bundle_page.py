"""docs/bundle.md and docs/your-model.md as a stranger would use them: a reader written from the page, its code run."""

import hashlib
import io
import json
import re
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from edge_rnn.export.architectures import ARCHITECTURES
from edge_rnn.export.from_state import import_bundle
from edge_rnn.export.networks import Network

import edge_rnn
from edge_rnn import export

ROOT = Path(__file__).parent.parent
BUNDLES = sorted((Path(__file__).parent / "bundles").glob("*.ernn"))


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)


def read_as_a_stranger(path):
    """Nothing of edge_rnn: zipfile, json and numpy."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    manifest = json.loads(members["manifest.json"])
    assert manifest["files"] == {n: hashlib.sha256(b).hexdigest() for n, b in members.items() if n != "manifest.json"}
    arrays = {n: dict(np.load(io.BytesIO(members[f"{n}.npz"]), allow_pickle=False)) for n in ("weights", "golden")}
    return manifest, arrays["weights"], arrays["golden"], members["model.onnx"]


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.stem)
def test_the_digest_is_what_the_page_says(path):
    manifest, weights, _, _ = read_as_a_stranger(path)
    text = json.dumps([manifest["precision"], manifest["layers"]], sort_keys=True, separators=(",", ":"))
    blake = hashlib.blake2b(text.encode(), digest_size=16)
    for name in sorted(weights):
        blake.update(f"{name} {weights[name].dtype} {weights[name].shape}\n".encode() + weights[name].tobytes())
    assert blake.hexdigest() == manifest["model_digest"]


def test_the_float_equations_of_the_page_give_the_golden_stream():
    manifest, w, golden, _ = read_as_a_stranger(ROOT / "tests" / "bundles" / "format1_float32.ernn")
    state = {s["name"]: np.zeros(s["shape"]) for s in manifest["states"]}

    def logistic(v):
        return 1 / (1 + np.exp(-v))

    with np.errstate(over="ignore"):
        for x, expected in zip(golden["x"].astype(float), golden["y"], strict=True):
            v = (x - w["mean"]) / w["std"]
            for i, layer in enumerate(manifest["layers"]):
                p, act = f"l{i}.", {"none": lambda v: v, "relu": lambda v: np.maximum(v, 0), "tanh": np.tanh}
                if layer["kind"] == "dense":
                    v = act[layer["activation"]](w[p + "w"] @ v + w[p + "b"])
                    continue
                h = state[f"h{i}"]
                a, u = w[p + "w_ih"] @ v + w[p + "b_ih"], w[p + "w_hh"] @ h + w[p + "b_hh"]
                if layer["kind"] == "rnn":
                    h = act[layer["activation"]](a + u)
                elif layer["kind"] == "gru":
                    (a_r, a_z, a_n), (u_r, u_z, u_n) = np.split(a, 3), np.split(u, 3)
                    r, z = logistic(a_r + u_r), logistic(a_z + u_z)
                    h = (1 - z) * np.tanh(a_n + r * u_n) + z * h
                else:
                    gi, gf, gg, go = np.split(a + u, 4)
                    state[f"c{i}"] = logistic(gf) * state[f"c{i}"] + logistic(gi) * np.tanh(gg)
                    h = logistic(go) * np.tanh(state[f"c{i}"])
                v = state[f"h{i}"] = h
            np.testing.assert_allclose(v, expected, rtol=1e-4, atol=1e-4)
    for name, end in state.items():
        np.testing.assert_allclose(end, golden[f"state.{name}"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.stem)
def test_the_pages_few_lines_run_the_onnx_file(path, tmp_path, monkeypatch):
    manifest, _, golden, onnx = read_as_a_stranger(path)
    (tmp_path / "model.onnx").write_bytes(onnx)
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("bundle.md", "python")
    names = {"samples": golden["x"]}
    exec(compile(code, "bundle.md", "exec"), names)
    for spec, end in zip(manifest["states"], names["state"], strict=True):
        np.testing.assert_allclose(end[0], golden[f"state.{spec['name']}"], rtol=1e-4, atol=1e-4)


def test_every_key_of_a_manifest_stands_on_the_page():
    page = (ROOT / "docs" / "bundle.md").read_text()
    for path in BUNDLES:
        for key in read_as_a_stranger(path)[0]:
            assert f"`{key}`" in page


def test_the_example_of_your_own_model_runs_as_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(export, "export_bundle", partial(export.export_bundle, steps=200))
    for code in blocks("your-model.md", "python"):
        exec(compile(code, "your-model.md", "exec"), {"__name__": "page"})
    model = edge_rnn.load("wave.ernn")
    assert model.manifest.precision == "int8"
    assert model.manifest.warmup_samples == 128


def test_the_sizes_of_the_architectures_on_the_page_are_theirs():
    page = (ROOT / "docs" / "your-model.md").read_text().partition("## Other architectures")[2]
    for arch in ARCHITECTURES:
        graph = Network.of(arch, 6, 6, window=128).to_graph()
        row = next(line for line in page.splitlines() if line.startswith("| ") and f"`{arch}`" in line.split("|")[1])
        assert f"{graph.parameters:,}" in row
        assert f"{graph.state_bytes:,}" in row
        assert str(graph.receptive_field or "all") in row


def test_the_spec_of_the_page_imports_the_network_it_describes(tmp_path):
    (spec,) = blocks("your-model.md", "toml")
    torch.manual_seed(0)
    gru = torch.nn.GRU(3, 4, 2, batch_first=True)
    head = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2))
    both = {f"gru.{k}": v for k, v in gru.state_dict().items()} | {f"head.{k}": v for k, v in head.state_dict().items()}
    x = np.random.default_rng(0).normal(0, 1, (100, 3)).astype(np.float32)
    torch.save(both, tmp_path / "state.pt")
    np.save(tmp_path / "sample.npy", x)
    with torch.no_grad():
        np.save(tmp_path / "logits.npy", head(gru(torch.from_numpy(x)[None])[0])[0].numpy())
    (tmp_path / "spec.toml").write_text(spec)
    assert import_bundle(tmp_path / "state.pt", tmp_path / "spec.toml", tmp_path / "m.ernn", steps=50).report.ok
