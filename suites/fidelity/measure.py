"""
How right and how dear this client is: its times held against a server that logs every token, in a table.

    python suites/fidelity/measure.py [--rounds 3] [--case c64 --case poisson200] [--server ./truthserver]

Each round of each case starts a server on one CPU and the client on another one, and compares every token of every request with
the server's own log. Medians of the rounds are printed as a Markdown table. Run it where nothing else runs, on a machine of at
least two CPUs (three for two load processes: with two, one of them shares the server's); it takes about three minutes a round.
``--server`` takes another server with the flags ``--port --ttft-ms --itl-ms --times FILE``, whose file has a row a request: its
id, then the instant of each token; default is the built-in one.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pytest_inferbench.cases.case import Load
from pytest_inferbench.load.calibrate import drive_known, errors_against, known_case
from pytest_inferbench.load.drive import Driven, Progress
from pytest_inferbench.load.loopback import Loopback, Schedule
from pytest_inferbench.metrics.summarise import summarise
from pytest_inferbench.records.tables import write_csv, write_parquet

SERVER_LIMIT_S = 30.0
ROUND_LIMIT_S = 1800.0
Log = Mapping[str, Sequence[int]]
Figures = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A load, the tokens of its answers (100 ms after the request, and every 20 ms), and how many processes drive it."""

    title: str
    load: Load
    tokens: int
    workers: int = 1


TRIALS = {
    "c512": Trial(title="512 users, 4,000 requests of 64 tokens", load=Load(concurrency=512, requests=4000), tokens=64),
    "c64": Trial(title="64 users, 1,000 requests of 64 tokens", load=Load(concurrency=64, requests=1000), tokens=64),
    "poisson200": Trial(
        title="Poisson 200/s for 60 s, 64 tokens",
        load=Load(rate_per_s=200, arrival="poisson", requests=None, duration_s=60),
        tokens=64,
    ),
    "short2000": Trial(
        title="constant 2,000/s for 20 s, 4 tokens",
        load=Load(rate_per_s=2000, arrival="constant", requests=None, duration_s=20),
        tokens=4,
    ),
    "c1000x2": Trial(
        title="1,000 users on two load processes, 8,000 requests of 64 tokens",
        load=Load(concurrency=1000, requests=8000),
        tokens=64,
        workers=2,
    ),
}
ONE, TWO = "c512", "c1000x2"
"""Loads that give each process about as much to do, to see whether two carry twice what one does."""

COLUMNS: tuple[tuple[str, Callable[[Figures], str]], ...] = (
    ("first token p50 / p99 ms", lambda of: f"{of['first_p50_ms']:.3f} / {of['first_p99_ms']:.3f}"),
    ("last token p50 / p99 ms", lambda of: f"{of['last_p50_ms']:.3f} / {of['last_p99_ms']:.3f}"),
    ("gap p99 ms", lambda of: f"{of['gap_p99_ms']:.3f}"),
    ("CPU us/token: load process / with decoding and records", lambda of: f"{of['load_us']:.1f} / {of['all_us']:.1f}"),
    ("peak MB: load process / decoding", lambda of: f"{of['load_mb']:.0f} / {of['decoding_mb']:.0f}"),
    ("not completed", lambda of: f"{of['lost']:.0f} of {of['requests']:.0f}"),
    ("tokens/s", lambda of: f"{of['tokens_per_s']:,.0f}"),
    ("requests/s sent (drawn)", lambda of: f"{of['rate_per_s']:.1f} ({of['planned_per_s']:.1f})" if of["open_loop"] else "-"),
    ("send lag p50 / p99 ms", lambda of: f"{of['lag_p50_ms']:.3f} / {of['lag_p99_ms']:.3f}" if of["open_loop"] else "-"),
    ("server late p99 ms", lambda of: f"{of['late_p99_ms']:.2f}"),
)


# -- one round of one case, in a process of its own ------------------------------------------------------------------------


class Truth:
    """A running server: where it is, and, once it was stopped, when it sent each token."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.log: Log = {}


@contextmanager
def serving(schedule: Schedule, cpu: int, binary: str | None) -> Iterator[Truth]:
    """A server on this CPU; its log is there afterwards."""
    if binary is None:
        with Loopback.start(schedule, cpu=cpu) as server:
            truth = Truth(server.url)
            yield truth
        truth.log = {name: sent.token_ns for name, sent in server.log.sent.items()}
        return
    with tempfile.TemporaryDirectory() as folder:
        times = Path(folder, "times.csv")
        truth = Truth(f"http://127.0.0.1:{free_port()}")
        process = started(binary, schedule, truth.url.rpartition(":")[2], times=times, cpu=cpu)
        try:
            yield truth
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(SERVER_LIMIT_S)
        truth.log = log_in(times)


def started(binary: str, schedule: Schedule, port: str, *, times: Path, cpu: int) -> subprocess.Popen[bytes]:
    """The server of somebody else, listening."""
    own = os.sched_getaffinity(0)
    waits = ["--ttft-ms", str(schedule.ttft_ms), "--itl-ms", str(schedule.itl_ms)]
    os.sched_setaffinity(0, {cpu})
    try:
        process = subprocess.Popen([binary, "--port", port, *waits, "--times", str(times)], stderr=subprocess.DEVNULL)
    finally:
        os.sched_setaffinity(0, own)
    deadline_s = time.monotonic() + SERVER_LIMIT_S
    while time.monotonic() < deadline_s:
        try:
            socket.create_connection(("127.0.0.1", int(port)), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return process
    process.kill()
    raise SystemExit(f"{binary} did not listen on port {port} within {SERVER_LIMIT_S:g} s")


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def log_in(times: Path) -> Log:
    """The file that ``--times`` names."""
    with times.open(newline="") as file:
        return {row[0]: array("q", map(int, row[1:])) for row in csv.reader(file) if row[0]}


def one_round(trial: Trial, cpus: Sequence[int], binary: str | None) -> Figures:
    """Drive one load and hold it against the server's log."""
    schedule = Schedule(ttft_ms=100, itl_ms=20, tokens=trial.tokens)
    os.sched_setaffinity(0, client_cpus(trial, cpus))
    with serving(schedule, cpus[0], binary) as truth:
        for _ in range(2):
            # What a load of one request a process costs is what starting costs; this process imports at its first.
            idle = Load(concurrency=trial.workers, requests=trial.workers)
            idle_load_s, idle_all_s, _ = cost(trial, idle, truth.url)
        peak = Peak()
        load_s, all_s, driven = cost(trial, trial.load, truth.url, on_progress=peak.look)
        peaks = {"load_mb": peak.load_mb, "decoding_mb": peak_mb(Path("/proc/self"))}
    tokens = len(driven.measured.event_ns)
    costs = {"load_us": (load_s - idle_load_s) * 1e6 / tokens, "all_us": (all_s - idle_all_s) * 1e6 / tokens}
    return figures_of(driven, truth.log, schedule) | peaks | costs


def client_cpus(trial: Trial, cpus: Sequence[int]) -> set[int]:
    """Those after the server's, one for each load process; all of them, the server's too, where they are too few."""
    own = set(cpus[1 : 1 + trial.workers])
    return own if len(own) == trial.workers else set(cpus)


class Peak:
    """The most memory that the load process ever held, looked up as often as it says how far it is: about four times a second."""

    def __init__(self) -> None:
        self.load_mb = 0.0

    def look(self, _: object) -> None:
        """Look it up now."""
        for task in Path("/proc/self/task").iterdir():
            for pid in (task / "children").read_text(encoding="ascii").split():
                self._take(Path("/proc", pid))

    def _take(self, process: Path) -> None:
        # It may be over by now; what was seen before stands.
        with suppress(OSError):
            if b"pytest_inferbench.load.worker" in (process / "cmdline").read_bytes():
                self.load_mb = max(self.load_mb, peak_mb(process))


def peak_mb(process: Path) -> float:
    """The most memory that a process of /proc has had resident at once, in MB; 0 where it has ended."""
    for text in (process / "status").read_text(encoding="utf-8").splitlines():
        if text.startswith("VmHWM:"):
            return int(text.split()[1]) * 1024 / 1e6
    return 0.0


def cost(
    trial: Trial, load: Load, url: str, *, on_progress: Callable[[Progress], None] = lambda _: None
) -> tuple[float, float, Driven]:
    """CPU seconds of the load process, and of it with everything done to what it recorded; and that."""
    before = children_s(), time.process_time()
    driven = drive_known(known_case(load, output_tokens=trial.tokens), url=url, on_progress=on_progress, workers=trial.workers)
    with tempfile.TemporaryDirectory() as folder:
        summarise(driven.measured)
        write_parquet(Path(folder, "requests.parquet"), driven.measured)
        write_csv(Path(folder, "metrics.csv"), driven.measured)
    load_s = children_s() - before[0]
    return load_s, load_s + time.process_time() - before[1], driven


def children_s() -> float:
    """CPU seconds of all processes that this one started and that have ended; the server has not."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def figures_of(driven: Driven, log: Log, schedule: Schedule) -> Figures:
    """Everything that the table shows of a round, but for what it cost."""
    traces, audit = driven.measured, driven.audit
    errors = errors_against(traces, log)
    span_s = float(traces.end_ns.max() - traces.send_ns.min()) / 1e9
    planned_s = float(traces.intended_send_ns.max() - traces.intended_send_ns.min()) / 1e9
    return {
        "first_p50_ms": errors.first.p50_ms,
        "first_p99_ms": errors.first.p99_ms,
        "last_p50_ms": errors.last.p50_ms,
        "last_p99_ms": errors.last.p99_ms,
        "gap_p99_ms": errors.gap.p99_ms,
        "requests": len(traces),
        "lost": int((~traces.completed).sum()),
        "tokens_per_s": errors.tokens / span_s,
        "carried_per_s": errors.tokens / span_s / audit.loop_busy_share,
        "open_loop": float(traces.open_loop),
        "rate_per_s": audit.rate_achieved_per_s,
        "planned_per_s": (len(traces) - 1) / planned_s,
        "lag_p50_ms": audit.send_lag_ms_p50,
        "lag_p99_ms": audit.send_lag_ms_p99,
        "late_p99_ms": server_late_ms(log, schedule),
    }


def server_late_ms(log: Log, schedule: Schedule) -> float:
    """By how much the server's own time from first to last token was longer than planned, 99th percentile."""
    late = sorted(abs((each[-1] - each[0]) / 1e6 - (len(each) - 1) * schedule.itl_ms) for each in log.values() if each)
    return late[min(len(late) - 1, int(0.99 * len(late)))]


# -- all of them -----------------------------------------------------------------------------------------------------------


def measured(name: str, options: argparse.Namespace) -> list[Figures]:
    """The figures of each round of a case; each round is a process of its own, so that none inherits another's memory."""
    command = [sys.executable, __file__, "--one", name, "--cpus", options.cpus]
    command += ["--server", options.server] if options.server else []
    rounds = []
    for _ in range(options.rounds):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=ROUND_LIMIT_S)
        if done.returncode:
            raise SystemExit(f"{name} failed:\n{done.stderr}")
        rounds.append(json.loads(done.stdout))
    return rounds


def medians(rounds: Sequence[Figures]) -> Figures:
    """Each figure's median over the rounds; of requests that did not complete, the most."""
    middle = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    return middle | {"lost": max(each["lost"] for each in rounds)}


def head() -> list[str]:
    """The table's first two lines."""
    names = ["load", *(name for name, _ in COLUMNS)]
    return [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]


def line(title: str, figures: Figures) -> str:
    """A row of the table."""
    return f"| {' | '.join([title, *(write(figures) for _, write in COLUMNS)])} |"


def scaling(one: Figures, two: Figures) -> str:
    """
    How much more two load processes carry than one.

    Carried is tokens a second / busy share of the busiest process: what the load would come to at which that one is always busy.
    It is worked out from a load that leaves the processes time, since a server of one CPU ends before two processes do.
    """
    return (
        f"two load processes carry {two['carried_per_s'] / one['carried_per_s']:.2f} times what one carries: "
        f"{two['carried_per_s']:,.0f} and {one['carried_per_s']:,.0f} tokens/s, by CPU time"
    )


def say(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def first_cpus() -> str:
    """The first CPUs that this process may use: three, or two where there are no more."""
    return ",".join(map(str, sorted(os.sched_getaffinity(0))[:3]))


def main() -> None:
    """Print the table, or run the one round that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="of each case (default 3)")
    parser.add_argument("--case", action="append", choices=list(TRIALS), help="only this one; may be given several times")
    parser.add_argument("--cpus", default=first_cpus(), help="the server's, the client's and a second load process's: 0,1,2")
    parser.add_argument("--server", help="a server of your own, as a program")
    parser.add_argument("--one", choices=list(TRIALS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    cpus = [int(cpu) for cpu in options.cpus.split(",")]
    if len(cpus) not in (2, 3) or options.rounds < 1:
        parser.error("--cpus takes two or three, the server's first and then the client's, and --rounds at least one")
    if options.one:
        say(json.dumps(one_round(TRIALS[options.one], cpus, options.server)))
        return
    for text in head():
        say(text)
    found = {}
    for name in options.case or TRIALS:
        found[name] = medians(measured(name, options))
        say(line(TRIALS[name].title, found[name]))
    if ONE in found and TWO in found:
        say("")
        say(scaling(found[ONE], found[TWO]))


if __name__ == "__main__":
    main()
