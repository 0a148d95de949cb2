"""Child processes: pinned to a core, killed with us, and their CPU time read to the nanosecond."""

import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

LOCALHOST = "127.0.0.1"
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class NotReady(Exception):
    """A child ended, or did not answer, before it could be measured."""


class Children:
    """Every process of a run. Leaving the `with` block kills whatever is left of them."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.running = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for child in list(self.running):
            self.kill(child)

    def start(self, name, argv, core=None):
        """Starts `argv` on `core` (None: on any), its output in `<name>.log`, anew."""

        def in_the_child():
            # Survives even a SIGKILL of the harness, which no `finally` does.
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            os.sched_setaffinity(0, ALL_CORES if core is None else {core})

        log = self.directory / f"{name}.log"
        with open(log, "wb") as output:
            child = subprocess.Popen(
                [str(word) for word in argv],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=in_the_child,
            )
        child.log = log
        child.name = name
        self.running.append(child)
        return child

    def kill(self, child):
        """Kills outright: nothing here has state to save, and polite draining takes minutes.
        Who was killed before stays so."""
        child.kill()
        child.wait()
        if child in self.running:
            self.running.remove(child)


# Taken before the harness pins itself.
ALL_CORES = os.sched_getaffinity(0)


def free_port():
    """A port nobody listens on, below the range the kernel gives to outgoing connections:
    in that range one of the load generator's thousands of closing connections may hold it."""
    for port in random.sample(range(15000, 32000), 100):
        with socket.socket() as probe:
            try:
                probe.bind((LOCALHOST, port))
            except OSError:
                continue
            return port
    raise NotReady("no free port found")


def wait_listening(child, port, timeout=20):
    """Returns once `port` takes connections."""

    def connects():
        with socket.create_connection((LOCALHOST, port), timeout=1):
            return True

    _wait(child, connects, timeout)


def wait_http(child, url, timeout=20):
    """Returns once `url` answers 200."""

    def answers():
        with urllib.request.urlopen(url, timeout=1) as response:
            return response.status == 200

    _wait(child, answers, timeout)


def _wait(child, ready, timeout):
    give_up = time.monotonic() + timeout
    while time.monotonic() < give_up:
        if child.poll() is not None:
            _show_log(child)
            raise NotReady(f"{child.name} ended with status {child.returncode} before it was ready")
        try:
            if ready():
                return
        except OSError:  # refused, reset, timed out, or an HTTP error status
            pass
        time.sleep(0.02)
    _show_log(child)
    raise NotReady(f"{child.name} was not ready after {timeout} s")


def _show_log(child):
    """To the terminal only: a log may name paths of this machine, a report must not."""
    tail = child.log.read_text(errors="replace").splitlines()[-15:]
    print(f"--- end of {child.name}'s log", *tail, "---", sep="\n", file=sys.stderr)


class CpuClock:
    """CPU time a process uses from here on, over all its threads."""

    def __init__(self, pid):
        self.pid = pid
        self.threads = _thread_nanoseconds(pid)
        self.ticks = _process_ticks(pid)

    def elapsed_us(self):
        """Microseconds since construction.

        The scheduler's nanoseconds are exact, but a thread that ended takes its count along;
        the kernel's coarse total keeps it, so the two must agree within their precision.
        """
        exact = sum(self.elapsed_by_thread_us().values())
        coarse = (_process_ticks(self.pid) - self.ticks) * 1e6 / TICKS_PER_SECOND
        if exact < 0.97 * coarse - 3e6 / TICKS_PER_SECOND:
            raise NotReady("threads ended during the measurement; their CPU time is lost")
        return exact

    def elapsed_by_thread_us(self):
        """The same by the names of threads, those of one name together."""
        found = {}
        for thread, (name, ns) in _thread_nanoseconds(self.pid).items():
            _, before = self.threads.get(thread, (name, 0))
            found[name] = found.get(name, 0) + (ns - before) / 1e3
        return found


def _thread_nanoseconds(pid):
    """Thread id -> (name, nanoseconds on a core)."""
    found = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        task = Path(f"/proc/{pid}/task/{thread}")
        try:
            name, text = (task / "comm").read_text(), (task / "schedstat").read_text()
        except FileNotFoundError:  # ended between the listing and the reading
            continue
        found[thread] = (name.strip(), int(text.split()[0]))
    return found


def _process_ticks(pid):
    # The name, in brackets, may hold anything; the numbers follow the last bracket.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = fields[11], fields[12]
    return int(user) + int(system)


def cpu_since_start_us(pid):
    """Microseconds of CPU time a process has used in all, those of threads that ended too."""
    return _process_ticks(pid) * 1e6 / TICKS_PER_SECOND


def resident_bytes(pid):
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise NotReady("the process has no resident memory: it has ended")
