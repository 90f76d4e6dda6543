import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from edge_rnn.export import export_bundle

from edge_rnn.cli.main import main

MODELS = Path(__file__).parent / "models"
COMMAND = [sys.executable, "-c", "from edge_rnn.cli.main import script; script()"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return export_bundle(
        MODELS / "watch_gru32.pt", tmp_path_factory.mktemp("cli") / "watch.ernn", precision="int8", steps=300
    ).path


@pytest.fixture
def recording(bundle, tmp_path):
    from edge_rnn import load

    golden = load(bundle).bundle.golden["x"][:128]
    path = tmp_path / "imu.csv"
    np.savetxt(path, np.tile(golden, (5, 1)), delimiter=",", header="ax,ay,az,wx,wy,wz", comments="", fmt="%.6f")
    return path


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_run_tells_events_on_stdout_and_a_summary_on_stderr(bundle, recording, capsys):
    assert main(["run", str(bundle), "--source", str(recording), "--scores", "every=50", "--json"]) == 0
    out, err = capsys.readouterr()
    said = lines(out)
    assert {line["type"] for line in said} >= {"score"}
    assert [line["t"] for line in said if line["type"] == "score"] == [float(t) for t in range(13)]
    summary = json.loads(err)
    assert summary["samples"]["received"] == summary["samples"]["used"] == 640
    assert set(summary["step_latency"]) == {"p50_us", "p99_us", "max_us", "samples_a_push"}


def test_a_latency_that_is_a_blocks_mean_says_so(bundle, recording, capsys):
    assert main(["run", str(bundle), "--source", str(recording)]) == 0
    assert "a sample, each the mean of a block of about 640 (--speed 1x" in capsys.readouterr().err
    assert main(["run", str(bundle), "--source", str(recording), "--speed", "1000x"]) == 0
    told = capsys.readouterr().err
    assert " a sample\n" in told
    assert "block" not in told


def test_a_pipe_gives_the_same_lines_as_the_file(bundle, recording):
    command = [*COMMAND, "run", str(bundle), "--scores", "all", "--source"]
    piped = subprocess.run([*command, "-"], stdin=recording.open(), capture_output=True, check=True, timeout=60)
    filed = subprocess.run([*command, str(recording)], capture_output=True, check=True, timeout=60)

    def without_id(text):  # the source's name is part of an event's id
        return [{k: v for k, v in line.items() if k != "id"} for line in lines(text)]

    assert without_id(piped.stdout) == without_id(filed.stdout)
    assert len(lines(piped.stdout)) >= 640


def test_a_reader_that_leaves_early_is_no_error(bundle, recording):
    run = subprocess.Popen(
        [*COMMAND, "run", str(bundle), "--scores", "all", "--source", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert run.stdin
    assert run.stdout
    assert run.stderr
    text = recording.read_bytes()
    try:
        run.stdin.write(text)
        run.stdin.flush()
        run.stdout.readline()
        run.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            for _ in range(200):
                run.stdin.write(text.partition(b"\n")[2])
            run.stdin.close()
        assert run.wait(60) == 0
    finally:
        run.kill()
        run.wait()
    assert b"Traceback" not in run.stderr.read()


def test_a_sink_file_is_appended_to(bundle, recording, tmp_path):
    sink = tmp_path / "events.jsonl"
    command = ["run", str(bundle), "--source", str(recording), "--sink", str(sink), "--scores", "every=100"]
    assert main(command) == main(command) == 0
    assert len([line for line in lines(sink.read_text()) if line["type"] == "score"]) == 14


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["run", "{bundle}", "--source", "not-there.csv"], 3, "not-there.csv"),
        (["run", "{bundle}", "--source", "gopher://x"], 2, "gopher"),
        (["run", "{bundle}", "--source", "{csv}", "--engine", "abacus"], 2, "abacus"),
        (["run", "{bundle}", "--source", "{csv}", "--speed", "fast"], 2, "--speed"),
        (["run", "{bundle}", "--source", "{csv}", "--scores", "some"], 2, "--scores"),
        (["run", "{csv}", "--source", "{csv}"], 1, "is text, expected a bundle"),
        (["run", "not-there.ernn", "--source", "{csv}"], 1, "not-there.ernn"),
        (["bench", "{bundle}", "--against", "abacus"], 2, "abacus"),
        (["verify", "{bundle}", "--engine", "abacus"], 2, "abacus"),
        (["dance"], 2, "dance"),
        (["run"], 2, "M.ernn"),
    ],
)
def test_an_error_is_one_sentence_and_an_exit_code(bundle, recording, capsys, arguments, code, word):
    filled = [a.format(bundle=bundle, csv=recording) for a in arguments]
    assert main(filled) == code
    out, err = capsys.readouterr()
    assert word in err
    assert out == ""
    assert "Traceback" not in err


def test_strict_makes_a_malformed_line_an_error_with_its_number(bundle, recording, capsys):
    recording.write_text(recording.read_text() + "1,2,3\n")
    assert main(["run", str(bundle), "--source", str(recording), "--strict"]) == 3
    assert "line 642" in capsys.readouterr().err
    assert main(["run", str(bundle), "--source", str(recording)]) == 0
    assert "line 642" in capsys.readouterr().err


def test_a_source_of_which_nothing_can_be_read_is_an_error_that_names_the_columns(bundle, recording, capsys):
    recording.write_text("when,what\n1,2\n3,4\n")
    assert main(["run", str(bundle), "--source", str(recording)]) == 3
    assert "could be read as a sample: the model wants ax [" in capsys.readouterr().err


def test_verify_says_bit_exact_for_every_engine_here(bundle, capsys):
    assert main(["verify", str(bundle), "--steps", "200", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"]
    ran = {name: engine for name, engine in report["engines"].items() if "skipped" not in engine}
    assert {"numpy", "onnxruntime"} <= set(ran)
    for engine in ran.values():
        assert engine["bit_exact"]
        assert engine["steps"] == 200
        assert engine["first_divergent_step"] is None


def test_bench_gives_microseconds_and_ratios_of_engines_that_agree(bundle, capsys):
    assert main(["bench", str(bundle), "--against", "numpy,onnxruntime", "--rounds", "2", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report["engines"]) == {"numpy", "onnxruntime"}
    for figures in report["engines"].values():
        assert 0 < figures["min_us"] <= figures["p50_us"] <= figures["p99_us"] <= figures["max_us"]
    assert set(report["ratios"]) == {"onnxruntime/numpy"}


def test_inspect_tells_what_a_model_is(bundle, capsys):
    assert main(["inspect", str(bundle), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["precision"] == "int8"


def test_every_command_has_help_and_stands_in_the_documentation():
    root = Path(__file__).parent.parent
    pages = "".join(page.read_text() for page in [root / "README.md", *sorted((root / "docs").glob("*.md"))])
    text = subprocess.run([*COMMAND, "--help"], capture_output=True, check=True, text=True, timeout=60).stdout
    commands = re.findall(r"^  ([a-z]+) ", text.partition("Commands:")[2], re.MULTILINE)
    assert {"demo", "train", "export", "import", "verify", "inspect", "run", "bench"} <= set(commands)
    for command in commands:
        assert f"edge-rnn {command}" in pages, f"no page says what `edge-rnn {command}` is for"
        assert main([command, "--help"]) == 0


def test_commands_are_quiet_in_a_pipe(bundle):
    environment = {**os.environ, "TERM": "xterm-256color"}
    run = subprocess.run(
        [*COMMAND, "verify", str(bundle), "--steps", "50"], capture_output=True, timeout=60, env=environment, check=True
    )
    assert run.stderr == b""
    assert b"\x1b" not in run.stdout
