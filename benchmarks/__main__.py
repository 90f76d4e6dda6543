"""python -m benchmarks [--seconds S] [--out FILE.json] [--picture FILE.png] [NETWORK ...]

Prints the table of docs/performance.md, measured now on this machine: ratios count, times are this machine's weather.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path

from .networks import NETWORKS
from .report import goals, print_report
from .table import all_networks


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("networks", nargs="*", choices=[*NETWORKS, []], help="default: all")
    parser.add_argument("--seconds", type=float, default=6.0, help="for each network")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--picture", type=Path, help="draw them (matplotlib)")
    options = parser.parse_args()
    report = all_networks(options.seconds, options.networks, lambda name: print(name, "...", file=sys.stderr))
    report["machine"] = {"system": platform.platform(), "python": platform.python_version(), "cpu": _cpu()}
    report["goals"] = goals(report)
    print_report(report)
    if options.out:
        options.out.write_text(json.dumps(report, indent=1) + "\n")
    if options.picture:
        from .picture import draw

        draw(report, options.picture)
    return 0


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


if __name__ == "__main__":
    sys.exit(main())
