"""`edge-rnn record` and `edge-rnn replay`: raw samples to a file, and back through a model."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import SourceError, UsageError

if TYPE_CHECKING:
    from ..endpoints.sources import Source
    from ..events import Event
    from ..model import Model
    from ..recording import Chunk, Header

FLUSH_NS = 1_000_000_000


def record(
    source: Annotated[str, typer.Option(help="Where the samples come from; URLs as for `run`.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="X.ernrec; or X.npz, X.csv to convert.")],
    channels: Annotated[str, typer.Option(help="Names, separated by commas; default: what the source says.")] = "",
    units: Annotated[str, typer.Option(help="Their units, separated by commas.")] = "",
    rate: Annotated[float, typer.Option(help="Samples a second; default: what the source's times say.")] = 0.0,
    note: Annotated[str, typer.Option(help="Anything a later reader should know.")] = "",
    labels: Annotated[Path | None, typer.Option(help="A labels.csv, for an .npz; default: beside the source.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="A malformed line is an error.")] = False,
    reconnect: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="Dial a tcp or unix peer again that went away, so long.")
    ] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Record raw samples, their times and gaps, until the source ends or Ctrl-C.

    An .ernrec file grows a block at a time, at least once a second: whatever happens, all but the last second stays.
    """
    import datetime

    from ..endpoints.sources import open_source
    from ..recording import Header

    if out.suffix not in (".ernrec", ".npz", ".csv"):
        raise UsageError(f"-o {out} was given, expected a name that ends in .ernrec, .npz or .csv")
    opened = open_source(source, _names(channels), strict=strict, patience_s=reconnect)
    began = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def header() -> Header:
        wanted = _names(units)
        if wanted and len(wanted) != len(opened.channels):
            raise UsageError(f"--units names {len(wanted)} units for {len(opened.channels)} channels")
        return Header(opened.channels, wanted, rate or opened.rate_hz, source, began, note)

    if out.suffix == ".ernrec":
        samples = _to_blocks(opened, out, header)
    else:
        samples = _to_arrays(opened, out, header, labels or _sidecar(source))
    for line in opened.reports:
        print(f"edge-rnn: skipped {line}", file=sys.stderr)
    summary = {"file": str(out), "samples": samples, "channels": opened.channels, "malformed_lines": opened.malformed}
    print(json.dumps(summary) if as_json else f"{out}: {samples} samples of {', '.join(opened.channels)}")


def replay(
    recording: Annotated[Path, typer.Argument(metavar="FILE", help="An .ernrec, .npz, CSV or JSON-lines file.")],
    bundle: Annotated[str, typer.Argument(metavar="M.ernn", help="The bundle to run.")],
    diff: Annotated[str, typer.Option(metavar="OTHER.ernn", help="Say which decisions another bundle changes.")] = "",
    convert: Annotated[
        list[str] | None, typer.Option(metavar="ax,ay=g:m/s2", help="Units of the recording into the model's.")
    ] = None,
    engine: Annotated[str, typer.Option(help="auto, native, onnxruntime or numpy.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="The summary as one JSON object on stderr.")] = False,
) -> None:
    """Run a recording through a model: the same events to the bit at any time and on any machine.

    The two may come in either order: the one that is a bundle is the model.
    With --diff, `diff` lines instead: decisions that are lost, new or moved with OTHER; exit 1 when there are any.
    """
    from ..diff import compare
    from ..events import to_line
    from ..model import load

    if _is_model(recording) and not _is_model(bundle):
        recording, bundle = Path(bundle), str(recording)
    model = load(bundle, engine)
    if not diff:
        events, summary = _replay(recording, model, convert or [])
        for event in events:
            print(to_line(event))
        _say({"": summary}, as_json)
        return
    other = load(diff, engine)
    before, after = _replay(recording, model, convert or []), _replay(recording, other, convert or [])
    changes = compare(before[0], after[0])
    for change in changes:
        print(json.dumps(change.to_json(), separators=(",", ":")))
    kinds = [change.kind for change in changes]
    counts = {kind: kinds.count(kind) for kind in ("lost", "new", "moved")}
    _say({"a": before[1], "b": after[1]}, as_json, counts)
    if changes:
        raise typer.Exit(1)


def _is_model(path: str | Path) -> bool:
    from ..looks import BUNDLE, kind_of

    try:
        return Path(path).suffix == ".onnx" or kind_of(path) == BUNDLE
    except OSError:  # whoever reads it says so
        return False


def _replay(recording: Path, model: Model, convert: list[str]) -> tuple[list[Event], dict[str, Any]]:
    from ..endpoints.converted import Converted
    from ..endpoints.sources import open_source
    from ..events import Ended
    from ..statistics import LiveStatistics
    from ..units import conversions
    from .summary import check_read

    channels = model.manifest.channels
    opened: Source = open_source(str(recording), tuple(c.name for c in channels))
    if convert:
        opened = Converted(opened, conversions(convert, channels))
    stream = model.stream(name=recording.stem)
    statistics = LiveStatistics(channels, model.manifest.rate_hz)
    events: list[Event] = []
    for chunk in opened:
        statistics.push(chunk.samples)
        events += stream.reset() if chunk.restart and stream.counters.received else []
        events += stream.push(chunk.samples, chunk.t_ns, chunk.seq)
    events += stream.finish()
    check_read(model, str(recording), opened, stream.counters.received)
    said = {"samples": stream.counters.to_json(), "events": sum(isinstance(event, Ended) for event in events)}
    warnings = [*statistics.warnings(), *(f"skipped {line}" for line in opened.reports)]
    return events, {"model": model.manifest.title, **said, "warnings": warnings}


def _say(summaries: dict[str, Any], as_json: bool, changes: dict[str, int] | None = None) -> None:
    """What was replayed, a model a line; warnings are the recording's, so once."""
    if as_json:
        said = summaries | ({} if changes is None else {"changes": changes})
        print(json.dumps(said if changes is not None else said[""]), file=sys.stderr)
        return
    for sentence in next(iter(summaries.values()))["warnings"]:
        print(f"edge-rnn: {sentence}", file=sys.stderr)
    for name, one in summaries.items():
        came = one["samples"]
        counts = ", ".join(f"{came[key]:,} {key}" for key in ("used", "bad", "imputed", "lost") if came[key])
        told = f"{one['model']}: {one['events']} events in {came['received']:,} samples ({counts})"
        print(f"{name + ' ' if name else ''}{told}", file=sys.stderr)
    if changes is not None:
        print(", ".join(f"{count} {kind}" for kind, count in changes.items()), file=sys.stderr)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _sidecar(source: str) -> Path | None:
    beside = Path(source).parent / "labels.csv"
    return beside if Path(source).is_file() and beside.is_file() else None


def _to_blocks(chunks: Iterable[Chunk], out: Path, header: Any) -> int:
    import time

    from ..recorder import Recorder

    recorder: Recorder | None = None
    flushed = time.monotonic_ns()
    try:
        for chunk in _until_interrupted(chunks):
            recorder = recorder or Recorder(out, header())
            recorder.add(chunk)
            if time.monotonic_ns() - flushed >= FLUSH_NS:
                recorder.flush()
                flushed = time.monotonic_ns()
    finally:
        if recorder is not None:
            recorder.close()
    if recorder is None:
        raise SourceError("the source ended before its first sample: nothing was recorded")
    return recorder.samples


def _to_arrays(chunks: Iterable[Chunk], out: Path, header: Any, labels: Path | None) -> int:
    from ..convert import write_csv, write_npz

    found = list(_until_interrupted(chunks))
    if out.suffix == ".npz":
        write_npz(out, header(), found, labels)
    else:
        write_csv(out, header(), found)
    return sum(len(chunk.samples) for chunk in found)


def _until_interrupted(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    try:
        yield from chunks
    except KeyboardInterrupt:
        return
