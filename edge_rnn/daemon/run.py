"""The daemon as a process: signals, the watchdog's ping, the end. Service does the work.

SIGTERM and SIGINT end it cleanly, SIGHUP reads the configuration again; a bad one leaves the old one running. The
service manager is pinged when steps and commits have made progress since the last ping, never by a timer.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
import time
from pathlib import Path

from ..errors import EdgeRnnError
from .config import read_config
from .notify import Notifier
from .service import Service

log = logging.getLogger("edge_rnn")

LOOK_SECONDS = 0.1
STATUS_SECONDS = 1.0
REFILL_SECONDS = 1.0


def run(config: Path, once: bool = False, notifier: Notifier | None = None) -> int:
    """Run until told to stop, or with `once` until every source has ended; the exit code."""
    notifier = notifier or Notifier()
    wanted: dict[str, bool] = {}
    news = threading.Event()

    def hear(number: int, _frame: object) -> None:
        wanted["reload" if number == signal.SIGHUP else "stop"] = True
        news.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, hear)
    service = Service(read_config(config))
    service.start()
    gc.freeze()  # what stands now stays: a collection does not look through it while samples wait
    notifier.tell(f"READY=1\nMAINPID={os.getpid()}")
    log.info("running: %d pipelines", sum(len(unit.lanes) for unit in service.units.values()))
    code = _watch(service, notifier, config, once, wanted, news)
    notifier.tell("STOPPING=1")
    began = time.monotonic()
    if service.stop():
        log.info("stopped in %.2f s: all that was told is durable, and every sink has it", time.monotonic() - began)
    else:
        log.warning(
            "not everything could be finished within %.1f s; what was durable stays", service.config.service.stop_s
        )
    return code


def _watch(
    service: Service, notifier: Notifier, config: Path, once: bool, wanted: dict[str, bool], news: threading.Event
) -> int:
    steps, commits = service.beat()
    next_status = next_refill = 0.0
    while not wanted.get("stop"):
        news.wait(LOOK_SECONDS)
        news.clear()
        now_steps, now_commits = service.beat()
        if now_steps != steps and now_commits != commits:
            steps, commits = now_steps, now_commits
            notifier.tell("WATCHDOG=1")
        if wanted.pop("reload", False) or service.desk.reload_wanted.is_set():
            service.desk.reload_wanted.clear()
            _reload(service, notifier, config)
        service.desk.tell_scores()
        now = time.monotonic()
        if service.clients is not None and now >= next_status:
            next_status = now + STATUS_SECONDS
            service.clients.start()
            service.clients.tell_status({"type": "status", **service.status()})
        if now >= next_refill:
            next_refill = now + REFILL_SECONDS
            service.committer.refill_reserve()
            service.store.tidy()
        if service.broken:
            log.error("no pipeline works any more: ending, so that whoever supervises starts anew")
            return 1
        if once and service.finished:
            return 0 if service.drain(service.config.service.stop_s) else 1
    return 0


def _reload(service: Service, notifier: Notifier, config: Path) -> None:
    notifier.tell("RELOADING=1")
    try:
        service.apply(read_config(config))
        log.info("the configuration was read again")
    except EdgeRnnError as error:
        log.error("the old configuration runs on: %s", error)
    notifier.tell("READY=1")
