"""`edge-rnn run`: samples from a source through a model, events as JSON lines."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UsageError

if TYPE_CHECKING:
    from ..endpoints.sources import Source
    from ..events import Event
    from ..flight import FlightRecorder
    from ..model import Model
    from ..recording import Chunk
    from ..stream import Stream


SOURCES = "A file (CSV, JSON lines, .npz, .ernrec), - (standard input), follow: tcp: unix: udp: mqtt: serial:"


def run(
    bundle: Annotated[str, typer.Argument(metavar="M.ernn", help="The bundle to run.")],
    source: Annotated[list[str], typer.Option(help=f"{SOURCES}; several run at once.")],
    sink: Annotated[
        list[str] | None, typer.Option(help="A file, - (standard output), tcp: unix: udp: mqtt: serial:.")
    ] = None,
    scores: Annotated[str, typer.Option(help="Also score lines: every sample (all) or every N-th (every=N).")] = "",
    speed: Annotated[str, typer.Option(help="max, or 1x, 4x ... of the model's rate.")] = "max",
    engine: Annotated[str, typer.Option(help="auto, native, onnxruntime or numpy.")] = "auto",
    resample: Annotated[bool, typer.Option("--resample", help="Bring the source to the model's rate.")] = False,
    source_rate: Annotated[float, typer.Option(help="With --resample: the source's rate, where it tells none.")] = 0.0,
    convert: Annotated[
        list[str] | None,
        typer.Option(metavar="ax,ay=g:m/s2", help="Units of the source into the model's; g:m/s2 alone: all."),
    ] = None,
    reconnect: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="Dial a tcp or unix peer again that went away, so long.")
    ] = 0.0,
    flight: Annotated[str, typer.Option(metavar="DIR", help="Keep the raw seconds around each event there.")] = "",
    flight_seconds: Annotated[float, typer.Option(help="How many before it and after it.")] = 10.0,
    live: Annotated[bool, typer.Option("--live", help="Show scores and events on the terminal.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="A malformed line is an error.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The summary on stderr as one JSON object.")] = False,
) -> None:
    """Run a model on a stream of samples.

    Lines in: CSV with or without a header, or {"t":12.34,"seq":617,"v":[0.1,9.7]}. Lines out: start, event, gap,
    fault and, with --scores, score. A summary with latency, drops and gaps goes to stderr at the end.
    """
    from .. import pipeline
    from ..endpoints.converted import Converted
    from ..endpoints.resampled import Resampled
    from ..endpoints.sinks import open_sink
    from ..endpoints.sources import open_source
    from ..model import load
    from ..together import run_together
    from ..units import conversions
    from . import summary

    every, pace = every_nth(scores), _speed(speed)
    model = load(bundle, engine)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a service is stopped as cleanly as by Ctrl-C
    channels = tuple(c.name for c in model.manifest.channels)
    factors = conversions(convert or [], model.manifest.channels)
    opened: dict[str, Source] = {
        url: open_source(url, channels, strict=strict, patience_s=reconnect) for url in dict.fromkeys(source)
    }
    bare = dict(opened)
    if convert:
        opened = {url: Converted(one, factors) for url, one in opened.items()}
    if resample:
        rate_hz = model.manifest.rate_hz
        opened = {url: Resampled(one, rate_hz, source_rate) for url, one in opened.items()}
    sinks = [open_sink(url, reconnect) for url in sink or ["-"]]
    recorder = _flight(flight, flight_seconds, model, source[0]) if flight and len(opened) == 1 else None
    if live and len(opened) > 1:
        raise UsageError("--live shows one source")
    if flight and recorder is None:
        raise UsageError("--flight watches one source: run the others in processes of their own")
    watch = None if recorder is None else recorder.push
    options: dict[str, Any] = {"scores_every": every, "pace": pace, "watch": watch}
    try:
        if len(opened) == 1:
            stream = model.stream(name=source[0])
            with _shown(stream, live, options):
                reports = {source[0]: pipeline.run(opened[source[0]], stream, sinks, **options)}
        else:
            reports = run_together(opened, model, sinks, **options)
    finally:
        if recorder is not None:
            recorder.close()
        for sink_ in sinks:
            sink_.close()
    for url, report in reports.items():
        one = opened[url]
        clock = one.clock if isinstance(one, Resampled) else report.clock
        said = summary.facts(model, report, bare[url], clock)
        if len(reports) > 1:
            said["source_url"] = url
        for sentence in summary.warnings(report, bare[url], None if resample else clock):
            print(f"edge-rnn: {url}: {sentence}", file=sys.stderr)
        print(json.dumps(said) if as_json else summary.text(said), file=sys.stderr)
    for url, report in reports.items():
        if report.lost is not None:
            raise report.lost
        summary.check_read(model, url, bare[url], report.samples["received"])


@contextmanager
def _shown(stream: Stream, live: bool, options: dict[str, Any]) -> Iterator[None]:
    """The live view around a run, where it was asked for; it watches together with the flight recorder."""
    if not live:
        yield
        return
    from .. import pipeline
    from .live import LiveView

    first = options["watch"]
    options["report"] = report = pipeline.Report()
    with LiveView(stream, report.latency) as view:

        def watch(chunk: Chunk, events: list[Event], now_ns: int) -> None:
            view.watch(chunk, events, now_ns)
            if first is not None:
                first(chunk, events, now_ns)

        options["watch"] = watch
        yield


def _flight(folder: str, seconds: float, model: Model, source: str) -> FlightRecorder:
    from ..flight import FlightRecorder
    from ..recording import Header

    manifest = model.manifest
    names, units = zip(*((c.name, c.unit) for c in manifest.channels), strict=True)
    header = Header(names, units, manifest.rate_hz, source, note=f"flight recorder of {manifest.title}")
    return FlightRecorder(folder, header, seconds=seconds, rate_hz=manifest.rate_hz)


def every_nth(text: str, expected: str = "all or every=N with N of 1 or more") -> int:
    """--scores as a number: 0 none, 1 all, N every N-th; raises UsageError."""
    if text == "":
        return 0
    number = "1" if text == "all" else text.removeprefix("every=")
    if not number.isdigit() or int(number) < 1:
        raise UsageError(f"--scores {text!r} was given, expected {expected}")
    return int(number)


def _speed(text: str) -> float:
    if text == "max":
        return 0.0
    try:
        pace = float(text.removesuffix("x"))
    except ValueError:
        pace = 0.0
    if not 0 < pace < 1e6:
        raise UsageError(f"--speed {text!r} was given, expected max, 1x, 4x ...")
    return pace
