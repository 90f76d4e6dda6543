"""The oldest onnxruntime and numpy that the metadata allows, in an environment of their own, driven by a subprocess.

`verify_there` runs this repository's runtime there; `run_there` runs any ONNX file with plain onnxruntime. The
environment is made once, in .venv-old-runtime beside the repository's own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".venv-old-runtime"
PACKAGES = ("onnxruntime==1.16.3", "numpy==1.26.0")

VERIFY = """
import json, sys
import numpy, onnxruntime
import edge_rnn
from edge_rnn.bundle import read_bundle
from edge_rnn.parity import verify
report = verify(read_bundle(sys.argv[1]), steps=int(sys.argv[2])).to_json()
edge_rnn.load(sys.argv[1], "onnxruntime").stream().push([[0.0] * len(edge_rnn.load(sys.argv[1]).manifest.channels)])
print(json.dumps({"versions": [numpy.__version__, onnxruntime.__version__], **report}))
"""

RUN = """
import sys
import numpy as np, onnxruntime
given = dict(np.load(sys.argv[2]))
xs = given.pop("x")
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
outputs = [value.name for value in session.get_outputs()]
kept = {name: [] for name in outputs}
for x in xs:
    for name, value in zip(outputs, session.run(outputs, {"x": x, **given})):
        kept[name].append(value)
    given = {name: kept[name.replace("_in", "_out")][-1] for name in given}
np.savez(sys.argv[3], **{name: np.array(values) for name, values in kept.items()})
"""


def old_python() -> Path:
    """The interpreter of that environment, which is made on the first call."""
    python = FOLDER / "bin" / "python"
    stamp = FOLDER / ".installed"
    if not stamp.exists() or stamp.read_text() != " ".join(PACKAGES):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(FOLDER)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        stamp.write_text(" ".join(PACKAGES))
    return python


def verify_there(bundle: Path, steps: int) -> dict:
    """`edge_rnn.parity.verify` of a bundle there, as JSON with the versions of numpy and onnxruntime."""
    return json.loads(_there(VERIFY, bundle, steps))


def run_there(onnx: bytes, x: np.ndarray, states: dict[str, np.ndarray], folder: Path) -> dict[str, np.ndarray]:
    """Step an ONNX file over x (T, N, I) from `states` (input name -> array): every output and state, (T, N, width)."""
    (folder / "model.onnx").write_bytes(onnx)
    np.savez(folder / "in.npz", x=x, **states)
    _there(RUN, folder / "model.onnx", folder / "in.npz", folder / "out.npz")
    with np.load(folder / "out.npz") as out:
        return {name: out[name] for name in out.files}


def _there(code: str, *arguments: object) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(old_python()), "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout
