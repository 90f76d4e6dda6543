"""The firmware on emulated boards, bit by bit. `make firmware` runs FIRMWARE_STEPS=100000 of them, CI fewer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from edge_rnn.export.boards import boards
from edge_rnn.export.firmware_check import HOSTS, check, require_tools, truth

from edge_rnn.bundle import read_bundle
from edge_rnn.cli.main import main
from edge_rnn.errors import UsageError

from .firmware_models import bundle_of, golden_truth
from .float_models import float_graph
from .int8_models import GOLDEN_NAMES, golden_graph, random_graph, random_layers, read_golden

pytestmark = pytest.mark.slow
MODELS = Path(__file__).parent / "models"
STEPS = int(os.environ.get("FIRMWARE_STEPS", "10000"))
EVERYWHERE = [*boards(), *HOSTS]

# numeric.md's 6 -> 32 -> 8; instructions a step at -O2, then bytes of flash and RAM at both levels.
BUDGETS = {
    ("GRU", "microbit", "speed"): (35_000, 9 * 1024, 640),
    ("GRU", "microbit", "size"): (None, 8_200, 512),
    ("GRU", "mps2-an386", "speed"): (10_500, 9 * 1024, 640),
    ("LSTM", "mps2-an386", "speed"): (14_000, 9 * 1024, 640),
    ("LSTM", "mps2-an500", "speed"): (None, 9 * 1024, 640),
    ("LSTM", "mps3-an547", "speed"): (8_000, 9 * 1024, 640),
    ("LSTM", "microbit", "size"): (None, 9 * 1024, 640),
}


@pytest.fixture(autouse=True)
def _tools(request):
    """A board whose tools are missing is skipped with the line that installs them."""
    names = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    try:
        require_tools(names.get("board", "microbit"))
    except UsageError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session", params=["gru", "lstm", "rnn"])
def trained(request, tmp_path_factory):
    """A trained network as a bundle, and what NumPy says of STEPS steps: made once for all boards."""
    pytest.importorskip("torch", reason="torch is not installed: the checkpoints cannot be read")
    from edge_rnn.export.exporting import export_bundle

    path = tmp_path_factory.mktemp("firmware") / "trained.ernn"
    export_bundle(MODELS / f"watch_{request.param}32.pt", path, precision="int8", steps=300)
    bundle = read_bundle(path)
    return bundle, truth(bundle, STEPS)


@pytest.mark.parametrize("board", EVERYWHERE)
def test_a_trained_model_is_bit_exact(trained, board):
    bundle, expected = trained
    found = check(bundle, board, STEPS, expected=expected)
    assert found.bit_exact, found


@pytest.mark.parametrize("board", EVERYWHERE)
@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_the_golden_vectors_hold(name, board):
    golden = read_golden(name)
    graph = golden_graph(golden)
    found = check(bundle_of(graph), board, 3000, optimize="size", expected=golden_truth(golden, graph))
    assert found.bit_exact, found


@pytest.mark.parametrize("board", EVERYWHERE)
def test_every_kind_of_layer_and_odd_widths_are_bit_exact(board):
    rng = np.random.default_rng(7)
    kinds = ["dense", "gru", "linear", "lstm", "relu", "rnn"]
    graph = random_graph(rng, random_layers(rng, kinds, 9, [7, 5, 4, 6, 13, 8], 5))
    assert check(bundle_of(graph, float(32767 * graph.arrays["sx"].max())), board, 1000).bit_exact


@pytest.mark.parametrize("board", EVERYWHERE)
def test_a_float_model_stays_within_tolerance(board):
    assert check(bundle_of(float_graph("mixed")), board, 1200).ok


@pytest.mark.parametrize(("name", "board", "optimize"), BUDGETS)
def test_the_budgets_are_kept(name, board, optimize):
    golden = read_golden(name)
    graph = golden_graph(golden)
    found = check(bundle_of(graph), board, 1000, optimize=optimize)
    figures = (found.instructions_per_step, found.flash_bytes, found.ram_bytes)
    for figure, most in zip(figures, BUDGETS[name, board, optimize], strict=True):
        assert most is None or figure <= most, (found, most)


@pytest.mark.parametrize("board", ["microbit", "mps3-an547"])
def test_a_built_project_runs_and_answers_csv_lines(board, tmp_path):
    graph = golden_graph(read_golden("GRU"))
    bundle = bundle_of(graph)
    from edge_rnn.export.firmware_folder import write_project
    from edge_rnn.export.firmware_project import project

    write_project(project(bundle, board, role="csv"), tmp_path)
    subprocess.run(["make", "-C", str(tmp_path)], check=True, capture_output=True)
    machine = ["-M", boards()[board].machine, "-display", "none", "-monitor", "none", "-serial", "stdio"]
    command = ["qemu-system-arm", *machine, "-kernel", str(tmp_path / "firmware.elf")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as board_:
        try:
            assert board_.stdout.readline() == "model ready\n"
            answers = []
            for x in [*bundle.golden["x"][:5], None]:
                line = "1,2,x" if x is None else ",".join(f"{v:.6f}" for v in x)
                print(line, file=board_.stdin, flush=True)
                answers.append(board_.stdout.readline().strip())
        finally:
            board_.kill()
    best = np.argmax(bundle.golden["y_q"][:5], axis=1)
    assert answers[:5] == [bundle.manifest.labels[j] for j in best]
    assert "6 finite numbers" in answers[5]


@pytest.fixture(scope="module")
def bundle_file(tmp_path_factory):
    pytest.importorskip("torch", reason="torch is not installed: the checkpoints cannot be read")
    from edge_rnn.export.exporting import export_bundle

    path = tmp_path_factory.mktemp("cli") / "watch.ernn"
    export_bundle(MODELS / "watch_rnn32.pt", path, precision="int8", steps=300)
    return path


def test_check_prints_the_promised_object(bundle_file, capsys):
    assert main(["firmware", "check", str(bundle_file), "--board", "mps2-an385", "--steps", "500", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    promised = {"bit_exact", "first_divergent_step", "steps", "instructions_per_step", "flash_bytes", "ram_bytes"}
    assert promised <= set(found)
    assert (found["bit_exact"], found["first_divergent_step"], found["steps"]) == (True, None, 500)
    assert 3_000 < found["instructions_per_step"] < 20_000


def test_a_wrong_bit_exits_4_and_names_the_step(bundle_file, capsys, tmp_path, monkeypatch):
    import edge_rnn.export.firmware_project as firmware_project

    texts = firmware_project.kernel()
    texts["tanh_table.c"] = texts["tanh_table.c"].replace("262091", "272091")
    monkeypatch.setattr(firmware_project, "kernel", lambda: texts)
    assert main(["firmware", "check", str(bundle_file), "--board", "microbit", "--steps", "500"]) == 4
    assert "from step" in capsys.readouterr().err


def test_build_prints_the_sizes_and_the_project_builds(bundle_file, capsys, tmp_path):
    out = tmp_path / "fw"
    assert main(["firmware", "build", str(bundle_file), "--board", "mps2-an500", "-o", str(out), "--json"]) == 0
    built = json.loads(capsys.readouterr().out)
    assert sorted(built["files"]) == sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    assert 3_000 < built["flash_bytes"] < 6_000
    assert shutil.which("make")
    subprocess.run(["make", "-C", str(out), "OPT=-Os"], check=True, capture_output=True)
    assert (out / "firmware.bin").stat().st_size > built["flash_bytes"] - 1000
