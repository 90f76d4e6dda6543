"""The live view: what it shows, and that a pipe sees nothing of it."""

import io

from rich.console import Console

from edge_rnn import pipeline
from edge_rnn.cli.live import LiveView
from edge_rnn.recording import Chunk


def view(model, noise, terminal):
    stream, console = model.stream(), Console(file=io.StringIO(), force_terminal=terminal, width=100)
    report = pipeline.Report()
    with LiveView(stream, report.latency, console) as live:
        chunks = [Chunk(noise[i : i + 20]) for i in range(0, 200, 20)]
        pipeline.run(chunks, stream, [], watch=live.watch, report=report)
        shown = Console(file=io.StringIO(), width=100)
        shown.print(live.render())
    return console.file.getvalue(), shown.file.getvalue()


def test_it_shows_labels_probabilities_sums_and_events(model, noise):
    _, shown = view(model, noise, True)
    assert "test@1.0  4.0 s  ok" in shown
    assert all(label in shown for label in ("k0", "k1", "k2"))
    assert "received 200" in shown
    assert "event" in shown
    assert "told after" in shown
    assert "us a sample" in shown
    assert "p50 0 us" not in shown


def test_in_a_pipe_it_is_silent(model, noise):
    assert view(model, noise, False)[0] == ""
    assert view(model, noise, True)[0] != ""
