"""What a result must say about where it was measured, without naming the machine."""

import os
import platform
import re
import subprocess
from datetime import date
from pathlib import Path


def two_cores():
    """(core of the proxies, core of load generator and upstream): the first two we may use.

    The proxies get the second: the first tends to serve the machine's interrupts.
    """
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise SystemExit("bench: two cores are needed: one for the proxy, one for the load")
    return usable[1], usable[0]


def core_busy_us(core=""):
    """Microseconds this core, or all of them, have worked since boot, for anyone. Counts in ticks."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            user, nice, system, _idle, _iowait, irq, softirq = map(int, line.split()[1:8])
            ticks = user + nice + system + irq + softirq
            return ticks * 1e6 / os.sysconf("SC_CLK_TCK")
    raise SystemExit(f"bench: the kernel does not count core {core}")


def describe():
    """Processor, number of cores, kernel and date."""
    info = _cpuinfo()
    return {
        "cpu": info.get("model name", platform.machine()),
        "family": info.get("cpu family", ""),
        "model": info.get("model", ""),
        "cores": os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
        "date": date.today().isoformat(),
    }


def label(machine):
    """A file name two like machines share: results of the same hardware replace one another."""
    words = [machine["cpu"]]
    if machine["family"]:
        words.append(f"family {machine['family']} model {machine['model']}")
    words.append(f"{machine['cores']} cores")
    return re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")


def _cpuinfo():
    first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def first_line(argv):
    """The first non-empty line a command prints, for version reports."""
    done = subprocess.run(
        [str(word) for word in argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=20,
    )
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return lines[0] if lines else "unknown"
