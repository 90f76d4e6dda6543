"""The aarch64 wheel, cross-compiled, on an aarch64 Python under qemu-user: the native engine's own tests run there."""

from __future__ import annotations

import shutil
import zipfile

import arm64_python
import numpy as np
import pytest
from wheels import BUNDLES, ROOT, build_wheel, names_in

import edge_rnn

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(arm64_python.missing()), reason=f"not installed: {', '.join(arm64_python.missing())}"),
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs the git work tree: what is tracked is packed"),
]

# Not there: what starts programs of its own, and threads by the thousand steps.
LEFT_OUT = "not environment and not extension and not thread and not random_spec"

GO_ON = """
import sys
import numpy as np
import edge_rnn
bundle, snapshot, x, out = sys.argv[1:]
stream = edge_rnn.load(bundle, "native").stream()
stream.restore(open(snapshot, "rb").read())
y = np.array([stream.step(row).copy() for row in np.load(x)])
np.savez(out, y=y, snapshot=np.frombuffer(stream.snapshot(), np.uint8), isa=stream.model.engine.isa)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arm64")
    wheel, _ = build_wheel(folder, **arm64_python.CROSS)
    assert wheel.name.endswith("cp311-abi3-linux_aarch64.whl")
    assert "edge_rnn/_native.abi3.so" in names_in(wheel)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_native_engine_passes_its_own_tests_there(installed, tmp_path):
    shutil.copytree(ROOT / "tests", tmp_path / "tests")
    pytest_there = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", "--rootdir=."]
    done = arm64_python.run(
        [*pytest_there, "-opythonpath=tests", "tests/test_native.py", "-k", LEFT_OUT], [installed], tmp_path
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    count = int(done.stdout.splitlines()[-1].split(" passed")[0])
    assert count >= 60
    assert "failed" not in done.stdout


@pytest.mark.parametrize("bundle", sorted(BUNDLES.glob("*.ernn")), ids=lambda path: path.stem)
def test_a_stream_goes_on_there_where_it_stopped_here(installed, tmp_path, bundle):
    model = edge_rnn.load(bundle)
    channels = model.manifest.channels
    rng = np.random.default_rng(3)
    spread = [max(abs(c.min), abs(c.max), 1.0) for c in channels]
    x = (rng.standard_normal((600, len(channels))) * spread).astype(np.float32)
    stream = model.stream()
    for row in x[:300]:
        stream.step(row)
    (tmp_path / "snapshot").write_bytes(stream.snapshot())
    np.save(tmp_path / "x.npy", x[300:])
    done = arm64_python.run(["-c", GO_ON, str(bundle), "snapshot", "x.npy", "out.npz"], [installed], tmp_path)
    assert done.returncode == 0, done.stderr
    expected = np.array([stream.step(row).copy() for row in x[300:]])
    with np.load(tmp_path / "out.npz") as out:
        assert str(out["isa"]) == "neon"
        if model.manifest.precision == "int8":
            np.testing.assert_array_equal(out["y"], expected)
            assert out["snapshot"].tobytes() == stream.snapshot()
        np.testing.assert_allclose(out["y"], expected, rtol=1e-4, atol=1e-4)
