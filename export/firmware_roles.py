"""What a firmware project does with its serial line: CSV lines, or one of the three roles of docs/wire.md.

Text from a bundle, nothing else: the device's end of the wire is copied from `firmware_bridge/device`, as data.
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np

from edge_rnn.arrays import Array
from edge_rnn.bundle import Bundle
from edge_rnn.errors import UsageError

from .boards import GENERIC
from .c_arrays import float_literal, integers
from .c_header import comment

CSV = "csv"
ROLES = {"sensor": 1, "inference": 2, "node": 3}
"""Role -> its number on the wire."""
WIRE = (
    "ernn_frame.h",
    "ernn_link.h",
    "ernn_link_inner.h",
    "ernn_crc.c",
    "ernn_frame.c",
    "ernn_link.c",
    "ernn_link_model.c",
    "ernn_link_stream.c",
)
BLOB = ("ernn_blob.h", "ernn_blob.c")
KINDS = {"rnn": 1, "gru": 2, "lstm": 3}
LARGEST_PAYLOAD = 240
CODES = 32_767


def choose(bundle: Bundle, board: str, role: str | None) -> str:
    """The role asked for, else the one that can be proven on the user's own board; raises UsageError."""
    exact = bundle.graph.precision == "int8"
    if role is None:
        return "inference" if exact and board != GENERIC and _payload(bundle, "inference") <= LARGEST_PAYLOAD else CSV
    if role not in (CSV, *ROLES):
        raise UsageError(f"role {role!r} is unknown, expected {', '.join([CSV, *ROLES])}")
    if role in ("inference", "node") and not exact:
        raise UsageError(f"role {role} needs an int8 bundle, this one is float32: export it with --precision int8")
    if role != CSV and _payload(bundle, role) > LARGEST_PAYLOAD:
        raise UsageError(
            f"a frame of the wire holds {LARGEST_PAYLOAD} bytes, role {role} needs {_payload(bundle, role)} for "
            f"{bundle.graph.inputs} inputs and {bundle.graph.outputs} outputs: take --role csv"
        )
    return role


def wire(bundle: Bundle, role: str, *, store: bool = False) -> dict[str, str]:
    """File name -> text of the device's end, its defaults set for this role and this model."""
    texts = {name: _device(name) for name in (*WIRE, *(BLOB if store else ()))}
    defaults = {
        "ernn_link.h": ("ERNN_LINK_ROLE ERNN_ROLE_INFERENCE", f"ERNN_LINK_ROLE ERNN_ROLE_{role.upper()}"),
        "ernn_frame.h": ("ERNN_LINK_MAX_PAYLOAD 64", f"ERNN_LINK_MAX_PAYLOAD {max(64, _payload(bundle, role))}"),
    }
    for name, (old, new) in defaults.items():
        texts[name] = _replaced(texts[name], f"#define {old}", f"#define {new}")
    if store:
        texts["ernn_link.h"] = _replaced(texts["ernn_link.h"], "#define ERNN_LINK_BLOB 0", "#define ERNN_LINK_BLOB 1")
    return texts


def sensor(samples: Array, name: str) -> tuple[str, float]:
    """sensor.c, a stand-in that plays `samples` (T, I) in physical units for ever, and the scale of its int16 codes."""
    scale = np.float32(max(float(np.abs(samples).max()), 1e-6) / CODES)
    codes = np.clip(np.rint(samples / scale), -CODES, CODES).astype(np.int16)
    table = integers("int16_t", "recording", codes).replace(f"[{codes.size}]", f"[{len(codes)} * SENSOR_CHANNELS]")
    text = f"""/* A stand-in for your sensor: it plays {comment(name)}, again and again. Keep sensor_read. */
#include <string.h>

#include "sensor.h"

#define ERNN_ALIGNED

{table}
void sensor_read(int16_t codes[SENSOR_CHANNELS]) {{
    static unsigned row;
    memcpy(codes, recording + row * SENSOR_CHANNELS, SENSOR_CHANNELS * sizeof *codes);
    row = (row + 1) % {len(codes)}u;
}}
"""
    return text, float(scale)


def words(bundle: Bundle, role: str, scale: float, *, store: bool = False) -> dict[str, str]:
    """What the templates of the roles ask for."""
    manifest, recurrent = bundle.manifest, [layer for layer in bundle.graph.layers if layer.kind in KINDS]
    channels = [f"{c.name} [{c.unit}]" if c.unit else c.name for c in manifest.channels]
    return {
        "HIDDEN": str(recurrent[0].units if recurrent else 0),
        "KIND": str(KINDS[recurrent[0].kind] if recurrent else 4),
        "ROWS": str(_rows(bundle)),
        "RATE_MILLIHZ": str(round(manifest.rate_hz * 1000)),
        "SCALE": float_literal(np.float32(scale)),
        "CHANNELS": "\n".join(f" *   {index}  {comment(text)}" for index, text in enumerate(channels)),
        "PURPOSE": PURPOSES.get(role, ""),
        "INCLUDE": ('#include "sensor.h"\n' if role == "node" else "") + ('#include "store.h"\n' if store else ""),
        "TURN": "        sample();\n" if role == "node" else "",
        **(STORE if store else dict.fromkeys(STORE, "")),
    }


STORE = {
    "W": "weights, ",
    "STORE_STATE": "static const @PREFIX@_weights *weights; /* those in use: store.h */\nstatic uint8_t replaced;\n",
    "STORE_CALLS": """static int apply(void *user, uint32_t size) {
    return replaced = (uint8_t)store_apply(user, size);
}

""",
    "STORE_FIELDS": """    .blob_begin = store_begin,
    .blob_write = store_write,
    .blob_apply = apply,
""",
    "STORE_START": "    weights = store_choose();\n",
    "STORE_TURN": """        if (replaced) { /* another model: another state, another session */
            replaced = 0;
            weights = store_choose();
            zero(0);
            ernn_link_start(&wire, &board);
            wire.model_hash = weights->hash;
        }
""",
    "STORE_STARTED": "    wire.model_hash = weights->hash;\n",
    "OPTIONS": ",\n             .options = 1",
}
"""What a main has more where its model can be replaced over the wire."""

PURPOSES = {
    "inference": """\
 * Role 2 of the wire (wire/ernn_link.h): the host sends samples, this board makes the steps and answers each with its
 * logits.
 *
 *     edge-rnn firmware check @FILE@ --serial /dev/ttyACM0""",
    "node": """\
 * Role 3 of the wire (wire/ernn_link.h): this board makes a step on each sample of its own sensor (sensor.c) and
 * streams the logits.
 *
 *     edge-rnn firmware watch @FILE@ --serial /dev/ttyACM0""",
}


def _rows(bundle: Bundle) -> int:
    """Samples in a DATA frame: at most 50 frames a second, as far as 64 bytes go."""
    fit = (64 - 10) // (2 * bundle.graph.inputs)
    return max(1, min(fit, round(bundle.manifest.rate_hz / 50)))


def _payload(bundle: Bundle, role: str) -> int:
    """Bytes of the longest payload, a multiple of 4."""
    data, result = 10 + 2 * bundle.graph.inputs, 9 + 4 * bundle.graph.outputs
    longest = {"sensor": data, "inference": max(data, result), "node": result}[role]
    return -(-longest // 4) * 4


def _device(name: str) -> str:
    return (files("edge_rnn.firmware_bridge") / "device" / name).read_text(encoding="utf-8")


def _replaced(text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        raise AssertionError(f"{old!r} stands {text.count(old)} times in the device's end, expected once")
    return text.replace(old, new)
