"""What a run tells when it is over: a summary for people or as JSON, and warnings. Texts out; nothing is printed."""

from __future__ import annotations

from typing import Any

from ..clock import RateEstimate
from ..endpoints.sources import Source
from ..errors import SourceError
from ..latency import spoken
from ..model import Model
from ..pipeline import Report


def facts(model: Model, report: Report, source: Source, clock: RateEstimate | None) -> dict[str, Any]:
    """The summary of `--json`."""
    return {
        "model": model.manifest.title,
        "engine": model.engine.name,
        **report.to_json(),
        "malformed_lines": source.malformed,
        "dropped": getattr(source, "dropped", 0),
        "reconnects": getattr(source, "reconnects", 0),
        "source_clock": None if clock is None else clock.to_json(),
    }


def check_read(model: Model, url: str, source: Source, received: int) -> None:
    """Raise SourceError where lines came, and none of them was a sample."""
    if source.malformed and not received:
        wanted = ", ".join(f"{c.name} [{c.unit}]" for c in model.manifest.channels)
        raise SourceError(f"nothing that came from {url} could be read as a sample: the model wants {wanted}")


def warnings(report: Report, source: Source, clock: RateEstimate | None) -> list[str]:
    """What a person should know: another rate, other units, the first lines that could not be read."""
    found = [] if clock is None else [clock.warning()]
    sentences = [sentence for sentence in found if sentence is not None]
    sentences += report.statistics.warnings() if report.statistics else []
    return [*sentences, *(f"skipped {line}" for line in source.reports)]


def text(summary: dict[str, Any]) -> str:
    """The same facts for people, a topic a line."""
    came, took, latency = summary["samples"], summary["seconds"], summary["step_latency"]
    parts = [f"{came[name]:,} {name}" for name in ("used", "bad", "imputed", "lost", "duplicate", "late") if came[name]]
    per_second = came["received"] / took["total"] if took["total"] else 0.0
    lines = {
        "model": f"{summary['model']}, engine {summary['engine']}",
        "samples": f"{came['received']:,} received: {', '.join(parts) or 'none'}",
        "events": ", ".join(f"{count:,} {kind}" for kind, count in sorted(summary["events"].items())) or "none",
        "latency": _latency(**latency),
        "time": f"{took['total']:.3g} s, {per_second:,.0f} samples/s: source (reading, parsing) {took['source']:.3g}, "
        f"stream (inference, detection) {took['stream']:.3g}",
    }
    clock = summary["source_clock"]
    if clock is not None:
        rate, drift, jitter = clock["rate_hz"], clock["drift_ppm"], clock["jitter_ms"]
        lines["clock"] = f"{rate:.6g} Hz, {drift:g} ppm off the model's, jitter {jitter:g} ms"
    troubles = {"malformed_lines": "malformed lines", "dropped": "samples dropped", "reconnects": "reconnects"}
    told = [f"{summary[key]:,} {words}" for key, words in troubles.items() if summary[key]]
    if told:
        lines["source"] = ", ".join(told)
    if "source_url" in summary:
        lines = {"from": summary["source_url"], **lines}
    return "\n".join(f"{name:8} {line}" for name, line in lines.items())


def _latency(p50_us: float, p99_us: float, max_us: float, samples_a_push: float) -> str:
    """A sample's own where it was pushed alone; else a mean over its block, which hides single slow ones."""
    found = f"p50 {spoken(p50_us)}, p99 {spoken(p99_us)}, max {spoken(max_us)} a sample"
    blocks = f", each the mean of a block of about {samples_a_push:,.0f} (--speed 1x takes them one by one)"
    return found + blocks * (samples_a_push > 1)
