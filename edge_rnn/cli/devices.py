"""`edge-rnn devices` and `edge-rnn doctor`: what is plugged in, and what stands in the way of running on it."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from ..errors import EdgeRnnError
from ..outside import outside


def devices(
    urls: Annotated[
        list[str] | None, typer.Argument(help="Ports to look at; default: all that are plugged in.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long to listen at each.")] = 1.5,
    listen: Annotated[bool, typer.Option(help="Open the ports (an Arduino Uno restarts then).")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """List serial ports: stable name, format, rate and channels seen."""
    bridge = outside("devices")
    found = [bridge.Found(url, url) for url in urls] if urls else bridge.plugged()
    if listen:
        found = [_with_description(bridge.probe(one.url, seconds), one) for one in found]
    if as_json:
        print(json.dumps({"devices": [one.to_json() for one in found]}))
        return
    if not found:
        print("no serial ports here; a board in a virtual machine or container must be passed through", file=sys.stderr)
    for one in found:
        print(line(one.to_json()))


def line(found: dict[str, Any]) -> str:
    """One device as text."""
    facts = [found["url"], found["format"]]
    facts += [f"{found['channels']} channels"] if found["channels"] else []
    facts += [f"{found['rate_hz']:g} Hz"] if found["rate_hz"] else []
    facts += [found[key] for key in ("role", "model", "model_hash", "description", "error") if found[key]]
    return "  ".join(facts)


def doctor(
    urls: Annotated[
        list[str] | None, typer.Argument(help="Ports to look at; default: all that are plugged in.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long to listen at each port.")] = 1.5,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Check this machine: engines, packages, permission for serial ports, busy ports, baud rates; exit 1 on trouble."""
    checks = list(_checks(urls, seconds))
    ok = all(check["ok"] is not False for check in checks)
    if as_json:
        print(json.dumps({"ok": ok, "checks": checks}))
    else:
        marks = {True: "ok     ", False: "TROUBLE", None: "-      "}
        for check in checks:
            print(f"{marks[check['ok']]} {check['what']}: {check['says']}")
    raise typer.Exit(0 if ok else 1)


def _checks(urls: list[str] | None, seconds: float) -> Iterator[dict[str, Any]]:
    """Each check: ok True, False, or None for what is merely absent."""
    from ..engine import available_engines

    for engine, why in available_engines().items():
        yield {"what": f"engine {engine}", "ok": None if why else True, "says": why or "works"}
    try:
        importlib.import_module("serial")
    except ImportError:
        yield {"what": "pyserial", "ok": None, "says": "not installed: pip install 'edge-rnn[serial]' for boards"}
        return
    yield {"what": "pyserial", "ok": True, "says": "installed"}
    yield _group()
    bridge = outside("devices")
    found = [bridge.Found(url, url) for url in urls] if urls else bridge.plugged()
    if not found:
        yield {"what": "ports", "ok": None, "says": "none is plugged in"}
    for one in found:
        try:
            seen = bridge.probe(one.url, seconds)
        except EdgeRnnError as error:
            yield {"what": one.url, "ok": False, "says": str(error)}
            continue
        silent = "opens, but nothing comes: is the sketch running, is it the right port?"
        says = seen.error or (silent if seen.format == "silent" else line(seen.to_json()))
        yield {"what": one.url, "ok": not seen.error and seen.format != "silent", "says": says}


def _group() -> dict[str, Any]:
    """Whether this user may open serial ports at all."""
    if os.name != "posix" or sys.platform == "darwin" or os.geteuid() == 0:
        return {"what": "permission", "ok": True, "says": "serial ports need no group here"}
    import grp

    names = {name for name in map(_group_name, os.getgroups()) if name}
    known = {entry.gr_name for entry in grp.getgrall()} & {"dialout", "uucp"}
    if names & {"dialout", "uucp"} or not known:
        return {
            "what": "permission",
            "ok": True,
            "says": f"in {', '.join(sorted(names & known)) or 'no special group'}",
        }
    group = sorted(known)[0]
    return {"what": "permission", "ok": False, "says": f"not in {group}: sudo usermod -aG {group} $USER, log in again"}


def _group_name(number: int) -> str | None:
    import grp

    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return None


def _with_description(seen: Any, listed: Any) -> Any:
    seen.description = listed.description
    return seen
