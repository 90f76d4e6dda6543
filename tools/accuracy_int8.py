"""int8 beside float32 on people they never saw: put after the float figures in docs/accuracy.md.

    make accuracy          (after tools/accuracy.py, whose trainings it takes over from --runs; LSTM and --qat 4 are
                           trained here: about 25 minutes on one core; hapt needs EDGE_RNN_DATA)

Looks at a test split as tools/accuracy.py does; nothing is chosen here.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from edge_rnn.export import Checkpoint, quantize, train
from edge_rnn.export.agreement import Agreement, compare
from edge_rnn.export.calibration import Calibration
from edge_rnn.export.progress import show_bar
from edge_rnn.export.recipes import DataSet, open_dataset
from edge_rnn.export.source import from_checkpoint

DATA = ("hapt", "watch")
ARCHITECTURES = ("gru", "lstm")
LARGEST_LOSS = 0.005
SMALLEST_AGREEMENT = 0.995
HEADING = "## int8 beside float32\n"


@dataclass(frozen=True)
class Form:
    """A way to get an integer model: bits of a weight, and the bits it was trained for, if any."""

    name: str
    bits: int
    qat: int | None = None


INT8 = Form("int8", 8)
INT4 = (Form("int4", 4), Form("int4, trained with `--qat 4`", 4, 4))


def checkpoint_of(dataset: DataSet, arch: str, seed: int, qat: int | None, runs: Path) -> Checkpoint:
    """The run's checkpoint in `runs`, trained where it is not there yet."""
    folder = runs / "_".join([dataset.name, arch, *(["qat4"] if qat else []), str(seed)])
    path = folder / "checkpoint.pt"
    if not path.exists():
        train(dataset, arch, seed=seed, out=folder, qat=qat, progress=show_bar)
    return Checkpoint.load(path)


def measure(dataset: DataSet, arch: str, seed: int, form: Form, runs: Path) -> Agreement:
    """Quantize one training and compare on the test people."""
    checkpoint = checkpoint_of(dataset, arch, seed, form.qat, runs)
    source = from_checkpoint(checkpoint)
    calibration = Calibration(source.samples, source.starts, source.max_abs, source.lsb)
    made = quantize(source.graph, calibration, bits=form.bits).graph
    assert dataset.test is not None
    return compare(checkpoint.build(), made, dataset.test, dataset.recipe.window, dataset.recipe.hop)


def mean(rows: list[Agreement], name: str) -> float:
    """Over seeds."""
    return float(np.mean([getattr(row, name) for row in rows]))


def int8_table(found: dict[tuple[str, str], list[Agreement]]) -> str:
    """A row a seed and a mean for each network."""
    lines = [
        "| network | seed | test windows float32 | int8 | samples float32 | int8 | same argmax | by quarter |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (name, arch), rows in found.items():
        network = f"{name}, {arch.upper()}-32"
        for seed, row in enumerate(rows):
            quarters = ", ".join(f"{q:.2%}" for q in row.quarters)
            lines.append(
                f"| {network} | {seed} | {row.float_windows:.1%} | {row.int8_windows:.1%} | {row.float_stream:.1%} | "
                f"{row.int8_stream:.1%} | {row.agreement:.2%} | {quarters} |"
            )
        windows, streams = (
            [f"{mean(rows, f'{form}_{what}'):.1%}" for form in ("float", "int8")] for what in ("windows", "stream")
        )
        quarters = ", ".join(f"{q:.2%}" for q in np.mean([row.quarters for row in rows], axis=0))
        cells = [*windows, *streams, f"**{mean(rows, 'agreement'):.2%}**", quarters]
        lines.append(f"| {network} | mean | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def int4_table(found: dict[tuple[str, str], list[Agreement]]) -> str:
    """Means over seeds."""
    lines = [
        "| network | weights | test windows: checkpoint in float32 | in integers | samples, in integers |",
        "| --- | --- | --- | --- | --- |",
    ]
    for (name, form), rows in found.items():
        cells = [f"{mean(rows, key):.1%}" for key in ("float_windows", "int8_windows", "int8_stream")]
        lines.append(f"| {name}, GRU-32 | {form} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


TEXT = """
Three seeds of the default recipe, quantized as `edge-rnn export` does. `samples` are all labelled samples of recordings
read whole from the zero state; the last two columns compare the argmax of every sample, labelled or not, transitions
included, {samples}, in whole and by quarter of each recording.
Wanted, of means over seeds: int8 within 0.5 points of float32 on windows, the same argmax on 99.5 %, no fall from
quarter to quarter.

{int8}
What is left is the rounding of the weights: two hapt nets (GRU, LSTM, seed 0) agree with a float32 network of the same
rounded weights on 99.97 % of samples or more. Two things help: the weights of a row are rounded together
(export/rounding.py), and calibration samples lie anywhere in the recordings, not on labelled stretches alone. On
hapt's validation people, with rounded weights in float32, means of three seeds: LSTM 99.13 % as it was, 99.45 %
rounded together, 99.55 % with both; GRU 99.65, 99.77 and 99.80 %. **Not chosen blindly**: that LSTM fell short of 99.5
%, and that each of the two things helps, was first seen on the test people's recordings; only the variants (length and
place of the stretches) were then compared on validation people. So the agreement above is a little optimistic.

int4, half the bytes. `--qat 4` rounds in the last quarter of training and keeps the best epoch of that quarter. On
validation people, GRU, means of three seeds (hapt, watch): without such training 95.6, 86.5 %; rounding in the last
quarter 95.8, 85.3 %; in the last half 95.1, 86.7 %; from the start 94.3, 87.3 %. The differences are about those
between seeds, so where rounding is together, training for it is not shown to help.

{int4}"""


def main() -> int:
    """0 where int8 is close enough to float32, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/accuracy"), help="trainings, kept and taken again")
    parser.add_argument("--out", type=Path, default=Path("docs/accuracy.md"))
    options = parser.parse_args()
    int8: dict[tuple[str, str], list[Agreement]] = {}
    int4: dict[tuple[str, str], list[Agreement]] = {}
    for name in DATA:
        dataset = open_dataset(name)

        def rows(arch: str, form: Form, dataset: DataSet = dataset) -> list[Agreement]:
            return [measure(dataset, arch, seed, form, options.runs) for seed in range(options.seeds)]

        for arch in ARCHITECTURES:
            int8[name, arch] = rows(arch, INT8)
        for form in INT4:
            int4[name, form.name] = rows("gru", form)
    counts = {name: found[0].samples for (name, _), found in int8.items()}
    samples = " and ".join(f"{count:,} ({name})" for name, count in counts.items())
    text = TEXT.format(samples=samples, int8=int8_table(int8), int4=int4_table(int4))
    print(text)
    before = options.out.read_text(encoding="utf-8").partition(HEADING)[0].rstrip("\n")
    options.out.write_text(f"{before}\n\n{HEADING}{text}", encoding="utf-8")
    close = [mean(r, "float_windows") - mean(r, "int8_windows") <= LARGEST_LOSS for r in int8.values()]
    alike = [mean(r, "agreement") >= SMALLEST_AGREEMENT for r in int8.values()]
    return 0 if all(close) and all(alike) else 1


if __name__ == "__main__":
    raise SystemExit(main())
