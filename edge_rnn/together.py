"""Several sources at once through one model: a thread and a stream each, the same sinks. Lines say which source."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from typing import Any

from . import pipeline
from .endpoints.live import Live
from .endpoints.sinks import Sink
from .endpoints.sources import Source
from .model import Model
from .pipeline import Report


class _Tagged:
    """A sink that many threads share: one at a time, each line with its source."""

    def __init__(self, sink: Sink, source: str, lock: threading.Lock) -> None:
        self._sink, self._lock = sink, lock
        self._end = f',"source":{json.dumps(source)}}}'

    def write(self, lines: Iterable[str]) -> None:
        """Write whole lines."""
        tagged = [line[:-1] + self._end for line in lines]
        with self._lock:
            self._sink.write(tagged)

    def close(self) -> None:
        """The sink belongs to all."""


def run_together(sources: dict[str, Source], model: Model, sinks: list[Sink], **options: Any) -> dict[str, Report]:
    """Run until every source has ended, or an interrupt ends them all; name -> report.

    `options` are `pipeline.run`'s. What a sink raises is raised here, after all have stopped.
    """
    queues = {name: s if isinstance(s, Live) else Live(s, drop=False) for name, s in sources.items()}
    lock = threading.Lock()
    reports: dict[str, Report] = {}
    errors: list[Exception] = []
    ended = {name: threading.Event() for name in queues}  # not Thread.join: interrupted once, it no longer waits

    def work(name: str) -> None:
        mine = [_Tagged(sink, name, lock) for sink in sinks]
        try:
            reports[name] = pipeline.run(queues[name], model.stream(name=name), mine, **options)
        except Exception as error:  # raised below, in the thread that can tell
            errors.append(error)
            _close(queues)
        finally:
            ended[name].set()

    for name in queues:
        threading.Thread(target=work, args=(name,), name=f"edge-rnn {name}", daemon=True).start()
    interrupted = False
    try:
        _wait(ended)
    except KeyboardInterrupt:
        interrupted = True
        _close(queues)
        _wait(ended)
    if errors:
        raise errors[0]
    for report in reports.values():
        report.interrupted = interrupted
    return {name: reports[name] for name in sources}


def _wait(ended: dict[str, threading.Event]) -> None:
    for one in ended.values():
        one.wait()


def _close(queues: dict[str, Live]) -> None:
    for one in queues.values():
        one.close()
