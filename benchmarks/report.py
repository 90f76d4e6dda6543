"""The figures as tables, and each beside what was to be reached."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

# What the design asked for: how many times faster than the rival, at least; 0: nothing was asked.
AT_LEAST = {
    "float32 step / onnxruntime bound": {"gru32": 45, "lstm32": 40, "gru64x2": 8.5, "lstm128": 4.2, "rnn32": 55},
    "float32 step, AVX2 / onnxruntime bound": {"gru32": 36, "lstm32": 33, "gru64x2": 8, "lstm128": 4, "rnn32": 45},
    "int8 step / onnxruntime bound": {"gru32": 48, "lstm32": 42, "gru64x2": 20, "lstm128": 10},
    "run of 1000 / onnxruntime sequence": {"gru32": 4, "lstm32": 2.5, "gru64x2": 1.6, "lstm128": 1.2, "rnn32": 8},
    "group of 1024 / onnxruntime batch": {"gru32": 3.7, "lstm32": 2.1, "gru64x2": 2.4, "lstm128": 1.3},
    "float32 step / LiteRT, public calls": {"gru32": 20, "lstm32": 20, "gru64x2": 4, "lstm128": 2.5, "rnn32": 28},
    "float32 step / LiteRT, in place": dict.fromkeys(["gru32", "lstm32", "gru64x2", "lstm128", "rnn32"], 0),
    "float32 step / RTNeural": dict.fromkeys(["gru32", "lstm32", "gru64x2", "lstm128"], 0),
    "import, load, first step / onnxruntime": dict.fromkeys(["gru32", "lstm32", "gru64x2", "lstm128", "rnn32"], 2),
    "cold caches / onnxruntime bound": dict.fromkeys(["gru32", "lstm32", "gru64x2", "lstm128", "rnn32"], 25),
}


def ratios(found: dict[str, Any]) -> dict[str, float]:
    """One network's ratios by the names of AT_LEAST, from minima: other programs on the machine only add time."""
    least = {name: f["min_us"] for name, f in found["step"].items()}
    rival, cold = least["onnxruntime bound"], found["cold_us"]
    pairs = {
        "float32 step / onnxruntime bound": (rival, least["native float32"]),
        "float32 step, AVX2 / onnxruntime bound": (rival, least.get("native float32 avx2")),
        "int8 step / onnxruntime bound": (rival, least["native int8"]),
        "run of 1000 / onnxruntime sequence": tuple(found["sequence"][n]["min_us"] for n in ("onnxruntime", "native")),
        "group of 1024 / onnxruntime batch": tuple(found["group"][n]["min_us"] for n in ("onnxruntime", "native")),
        "float32 step / LiteRT, public calls": (least.get("litert", 0), least["native float32"]),
        "float32 step / LiteRT, in place": (least.get("litert in place", 0), least["native float32"]),
        "float32 step / RTNeural": (least.get("rtneural", 0), least["native float32"]),
        "import, load, first step / onnxruntime": tuple(
            found["start"][n]["total_ms"] for n in ("onnxruntime", "native")
        ),
        "cold caches / onnxruntime bound": (cold["onnxruntime bound"], cold["native float32"]),
    }
    return {name: round(a / b, 2) for name, (a, b) in pairs.items() if a and b}


def goals(report: dict[str, Any]) -> dict[str, Any]:
    """Goal -> network -> what was measured and what was to be reached."""
    measured = {network: ratios(found) for network, found in report["networks"].items()}
    return {
        goal: {
            network: {"measured": measured[network][goal], "at_least": least}
            for network, least in wanted.items()
            if goal in measured.get(network, {})
        }
        for goal, wanted in AT_LEAST.items()
    }


def print_report(report: dict[str, Any]) -> None:
    """Times, then ratios beside goals."""
    console = Console(width=170)
    networks = report["networks"]
    times = Table(title="us a step from Python, median (minimum)")
    for column in ("contestant", *networks):
        times.add_column(column)
    for name in dict.fromkeys(name for found in networks.values() for name in found["step"]):
        cells = [networks[n]["step"].get(name) for n in networks]
        times.add_row(name, *(f"{c['p50_us']:.3f} ({c['min_us']:.3f})" if c else "" for c in cells))
    for kind in ("sequence", "group"):
        for name in ("native", "onnxruntime"):
            cells = [networks[n][kind][name] for n in networks]
            times.add_row(f"{kind}: {name}", *(f"{c['p50_us']:.3f} ({c['min_us']:.3f})" for c in cells))
    for name in ("native float32", "native int8", "onnxruntime bound"):
        cells = [networks[n]["tail"][name] for n in networks]
        times.add_row(f"p99 / max: {name}", *(f"{c['p99_us']:.2f} / {c['max_us']:.1f}" for c in cells))
    for name in next(iter(networks.values()))["cold_us"]:
        times.add_row(f"cold caches: {name}", *(f"{networks[n]['cold_us'][name]:.2f}" for n in networks))
    for name in next(iter(networks.values()))["start"]:
        cells = [networks[n]["start"][name] for n in networks]
        shown = (f"{c['import_ms']:.0f} + {c['load_ms']:.1f} ms, {c['memory_mib']:.1f} MiB" for c in cells)
        times.add_row(f"import + load, memory: {name}", *shown)
    console.print(times)
    table = Table(title="times faster than the rival (to reach)")
    for column in ("goal", *networks):
        table.add_column(column)
    for goal, cells in report["goals"].items():
        shown = [cells.get(n) for n in networks]
        table.add_row(goal, *(f"{c['measured']} ({c['at_least'] or '-'})" if c else "" for c in shown))
    console.print(table)
