"""The shipped systemd unit: what systemd itself says of it, and that it starts what we ship."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import edge_rnn
from edge_rnn.cli.main import main
from edge_rnn.daemon.config import Service

UNIT = Path(edge_rnn.__file__).parent / "daemon" / "examples" / "edge-rnn.service"
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")


@pytest.fixture
def unit(tmp_path):
    """The unit with a program that is here."""
    path = tmp_path / "edge-rnn.service"
    path.write_text(UNIT.read_text().replace("/usr/bin/edge-rnn", shutil.which("true")))
    return path


def analyze(*arguments):
    return subprocess.run([ANALYZE, *arguments], capture_output=True, text=True, timeout=60)


@needs_systemd
def test_systemd_finds_nothing_wrong_with_the_unit(unit):
    done = analyze("verify", str(unit))
    if "Failed to" in done.stderr and "edge-rnn" not in done.stderr:
        pytest.skip(f"systemd-analyze cannot work here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert "edge-rnn.service" not in done.stderr


@needs_systemd
def test_systemd_sees_a_key_that_is_misspelt(unit):
    """The negative control."""
    unit.write_text(unit.read_text().replace("WatchdogSec", "WatchdogSecs"))
    assert "WatchdogSecs" in analyze("verify", str(unit)).stderr


@needs_systemd
def test_the_sandbox_is_tight(unit):
    done = analyze("security", "--offline=true", "--no-pager", str(unit))
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    if found is None:
        pytest.skip(f"this systemd-analyze judges no unit offline: {done.stderr.strip()}")
    assert float(found[1]) <= 1.5


def test_the_unit_speaks_of_what_the_daemon_does():
    keys = dict(re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE))
    assert keys["Type"] == "notify"
    assert keys["ExecStart"] == "/usr/bin/edge-rnn daemon --config /etc/edge-rnn/edge-rnn.toml"
    assert Service().state_dir == f"/var/lib/{keys['StateDirectory']}"
    assert float(keys["TimeoutStopSec"]) > Service().stop_s
    assert keys["RestartPreventExitStatus"] == "2"


def test_install_writes_the_unit_with_the_path_of_this_edge_rnn(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: f"/opt/edge/bin/{name}")
    assert main(["service", "install", "--to", str(tmp_path)]) == 0
    text = (tmp_path / "edge-rnn.service").read_text()
    assert "ExecStart=/opt/edge/bin/edge-rnn daemon --config" in text
    assert "/usr/bin/edge-rnn" not in text
    assert main(["service", "install", "--print"]) == 0
    assert capsys.readouterr().out == text
    assert main(["service", "install", "--to", str(tmp_path / "nowhere")]) != 0
    assert "cannot write" in capsys.readouterr().err
