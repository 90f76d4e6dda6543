"""Commands from outside, `cmd/VERB` over MQTT: a verb and a payload in, an answer out. Off unless a sink allows them.

    status    everything the daemon knows of itself
    reset     the pipeline that the payload names, or all of them with none, begins again from the zero state
    reload    read the configuration again, as SIGHUP does

It must never do more than these, raise, or wait.
"""

from __future__ import annotations

from typing import Any, Protocol

from .complaints import suggestion
from .homeassistant import Facts

LONGEST = 64
"""Bytes of a verb or payload that are looked at."""


class Desk(Protocol):
    """What a service lets others ask."""

    def pipelines(self) -> list[Facts]:
        """Those that run."""
        ...

    def status(self) -> dict[str, Any]:
        """Everything known of it."""
        ...

    def reset(self, pipeline: str) -> None:
        """The next step of a pipeline is one from the zero state."""
        ...

    def ask_for_reload(self) -> None:
        """As SIGHUP."""
        ...


def answer(desk: Desk, verb: str, payload: bytes) -> dict[str, Any]:
    """Do it; what is wrong with a command is said in the answer."""
    verb = verb[:LONGEST]
    if verb == "status":
        return {"verb": verb, "ok": True, "status": desk.status()}
    if verb == "reload":
        desk.ask_for_reload()
        return {"verb": verb, "ok": True}
    if verb == "reset":
        known = [one.pipeline for one in desk.pipelines()]
        name = payload[:LONGEST].decode("utf-8", "replace").strip()
        if name and name not in known:
            hint = suggestion(name, known)
            return {"verb": verb, "ok": False, "error": f"no pipeline is called {name!r}{hint}"}
        wanted = [name] if name else known
        for one in wanted:
            desk.reset(one)
        return {"verb": verb, "ok": True, "pipelines": wanted}
    hint = suggestion(verb, ["status", "reset", "reload"])
    return {"verb": verb, "ok": False, "error": f"{verb!r} is no command{hint}"}
