"""
What is measured: one case, and the parts it is made of.

Rule: everything here is frozen data that a person chose. Nothing here looks at the machine, reads a clock or a file, and a
case is never changed after it was made.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from math import inf
from typing import Literal

from pytest_inferbench.cases.confidence import CONFIDENCE

Api = Literal[
    "chat",
    "completions",
    "completions-tokens",
    "responses",
    "embeddings",
    "rerank",
    "rerank-tei",
    "anthropic",
    "tgi",
    "triton",
    "speech",
    "template",
]
Arrival = Literal["closed", "poisson", "constant", "gamma", "linear", "exponential", "steps", "trace"]
RAMPS = ("linear", "exponential", "steps")
TrafficKind = Literal["text", "embeddings", "rerank", "images", "speech", "dataset"]
Cache = Literal["cold", "warm", "shared"]
DatasetFormat = Literal["sharegpt", "jsonl", "lines", "hf"]
Scalar = str | int | float | bool
LauncherName = Literal["process", "docker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a person wrote a thing: a file and, where known, its line (from 1)."""

    file: str
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A folder of the host in a container; ``source`` may begin with ``~``."""

    source: str
    target: str
    mode: Literal["ro", "rw"] = "ro"


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """
    How a server's container is made; what is None is left to the container engine.

    Attributes:
        volumes: folders of the host.
        shm_size_bytes: of ``/dev/shm``, which ranks of one server talk through.
        ulimits: (name, soft, hard), such as ``("memlock", -1, -1)``.
        ports: ``published`` on this machine's loopback; ``network``: reached at its own address in the run's network.
        start_mode: ``flags``: the image's entrypoint gets the arguments; ``command``: they are the command, entrypoint and all.
        options: a JSON object as text, laid over the body with which the container engine's API makes it; empty for none.
    """

    volumes: tuple[Volume, ...] = ()
    shm_size_bytes: int | None = None
    ulimits: tuple[tuple[str, int, int], ...] = ()
    ports: Literal["published", "network"] = "published"
    start_mode: Literal["flags", "command"] | None = None
    options: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostShare:
    """The part of the host that a server may use: cores such as ``0-7,16``, a NUMA node, memory; None: all of it."""

    cpus: str | None = None
    numa: int | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    """
    Which model server, and how it is asked to run.

    ``args`` are the engine's own options as (name, value) pairs in the order written, ``env`` its environment. A value in
    ``env`` of the form ``${NAME}`` is read from the environment when the server starts and is never written anywhere.

    Attributes:
        image: the container image, by tag or digest; None: the engine's own, where it runs in a container.
        extra_args: words for the end of the server's command line, as they stand.
        launcher: where it runs; None: in a container where an image is named, else as a process.
        revision: of the model on its hub; None: the newest that is on this machine.
        offline: the server must not reach any hub.
    """

    name: str
    image: str | None = None
    args: tuple[tuple[str, Scalar | None], ...] = ()
    extra_args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    launcher: LauncherName | None = None
    container: Container = field(default_factory=Container)
    share: HostShare = field(default_factory=HostShare)
    revision: str | None = None
    offline: bool = False

    @property
    def in_container(self) -> bool:
        """Whether the server runs in a container."""
        return self.launcher == "docker" or (self.launcher is None and self.image is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """
    How many tokens one side of a request has.

    ``fixed``: exactly ``first``. ``normal``: mean ``first``, standard deviation ``second``. ``uniform``: from ``first``
    (included) to ``second`` (excluded), as genai-bench draws them. ``lognormal``: mean ``first``, standard deviation ``second``
    of the lengths themselves, not of their logarithms. ``choice``: one of ``choices``, each item
    alike likely. ``trace``: those of the load's trace.
    """

    kind: Literal["fixed", "normal", "uniform", "lognormal", "choice", "trace"]
    first: int = 0
    second: int = 0
    choices: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Images in a request: width and height in pixels, how many, and the format of the files."""

    width: int
    height: int
    count: int = 1
    format: Literal["png", "jpeg"] = "png"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """
    Requests that stand in a file or folder.

    ``prompt`` is a template such as ``"{instruction} {input}"`` whose names are fields of a row; None: the format's own
    fields. Answers are asked for with ``output_tokens`` tokens where that is set; else with as many as the field
    ``output_field`` says or holds; else with as many as the row's own answer has.
    """

    path: str
    format: DatasetFormat
    prompt: str | None = None
    output_tokens: int | None = None
    output_field: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePrompts:
    """What stands beside images: their files' format, and the tokens of the text and of the answer."""

    format: Literal["png", "jpeg"] = "png"
    prompt_tokens: int = 32
    output_tokens: int = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """Beginnings that prompts share: ``share`` of the requests start with one of ``count`` texts of ``tokens`` tokens."""

    tokens: int
    share: float = 1.0
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """
    What requests look like.

    ``text`` is the canonical form of the grammar, such as ``D(512,128)``, and decides ``kind``, lengths and ``images``. What it
    does not say stands in the other fields.

    Attributes:
        input_tokens: of the prompt, the prefix included; of one document, where documents are embedded or ranked; of a turn.
        output_tokens: of the answer; 0 where there is none to generate.
        kind: what is asked for; ``dataset``: whatever the rows of ``dataset`` ask for.
        query_tokens: of the query that documents are ranked against.
        documents: in each request, where documents are embedded or ranked.
        characters: of a text to speak.
        prefix: what prompts share, with ``cache`` ``shared``.
        turns: requests of one conversation; each carries those before it, with answers of the planned length between them.
        think_time_s: from the end of one turn to the next.
        cache: what a server that caches prompts has seen of them before: nothing (``cold``), all of it (``warm``: each was sent
            before the load began), or the beginnings that they share (``shared``).
    """

    text: str
    input_tokens: Lengths
    output_tokens: Lengths
    kind: TrafficKind = "text"
    query_tokens: Lengths | None = None
    documents: int = 1
    characters: int = 0
    images: Images | None = None
    dataset: Dataset | None = None
    prefix: Prefix | None = None
    turns: int = 1
    think_time_s: float = 0.0
    cache: Cache = "cold"

    @property
    def wants_cache(self) -> bool:
        """True where the server is meant to know prompts, or beginnings of them, from before: the turns before, too."""
        return self.cache != "cold" or self.turns > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSpec:
    """
    A level of load to look for: the highest at which the case's other objectives are met.

    Attributes:
        metric: what it is called: ``max_rate`` in requests a second, ``max_concurrency`` in users.
        low: the lowest level that is asked about; ``high`` the highest.
        within: how far neighbouring levels lie apart at most, as a share.
        most: requests of one load at one level, where fewer are not sure; None: nine times those of the load.
        budget: requests of all loads together; None: a third of ``most`` at every level.
    """

    metric: Literal["max_rate", "max_concurrency"]
    low: float
    high: float
    within: float = 0.05
    most: int | None = None
    budget: int | None = None

    @property
    def closed(self) -> bool:
        """Whether users are counted, who wait for their answers."""
        return self.metric == "max_concurrency"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """
    How requests arrive, and for how long.

    One of ``concurrency`` (closed loop: that many users, each waiting for its answer), ``rate_per_s`` (open loop: requests a
    second, whatever the server does; ``inf`` sends all at once) and ``trace`` (open loop: a file that says when) is set. The
    load ends after ``requests`` measured requests or ``duration_s`` seconds, whichever is set (both: whichever comes first);
    a trace also ends with its file. ``warmup`` requests go first and are in no figure.

    Attributes:
        stop_when_sure: the load ends as soon as its verdict is sure; ``requests`` and ``duration_s`` are then the most.
        requests_min: the fewest requests that such a load may end with.
        burstiness: shape of the gamma distribution of gaps with arrival ``gamma``; 1 is Poisson, less is burstier.
        ramp_from_per_s: the rate at which a ramp begins (it ends at ``rate_per_s``); None: at none, or at its first step.
        steps: number of levels with arrival ``steps``.
        ramp_up_s: in a closed loop, the time over which users start, evenly; 0: all at once.
        max_in_flight: in an open loop, the most requests on the wire; others wait for their turn. None: no such cap.
        sweep_place, sweep_of: place in an automatic sweep of so many rates: 0 is one user, ``sweep_of`` + 1 all at once, and
            those between them have no rate until these two are measured (see `sweep.resolved`).
        time_scale: what a trace's times are multiplied by: 0.5 replays it twice as fast.
        search: how the level is found; ``requests`` are then those of a first load at a level. The level stands in the record.
    """

    concurrency: int | None = None
    rate_per_s: float | None = None
    trace: str | None = None
    arrival: Arrival = "closed"
    requests: int | None = 100
    duration_s: float | None = None
    warmup: int = 0
    stop_when_sure: bool = False
    requests_min: int = 200
    burstiness: float = 1.0
    ramp_from_per_s: float | None = None
    steps: int | None = None
    ramp_up_s: float = 0.0
    max_in_flight: int | None = None
    time_scale: float = 1.0
    sweep_place: int | None = None
    sweep_of: int | None = None
    search: SearchSpec | None = None

    @property
    def swept(self) -> bool:
        """True where the rate is one of a sweep's, between its two ends."""
        return self.sweep_place is not None and self.sweep_of is not None and 0 < self.sweep_place <= self.sweep_of

    @property
    def open_loop(self) -> bool:
        """True where requests are sent at their own times, whatever the server does."""
        return self.concurrency is None and (self.search is None or not self.search.closed)

    @property
    def steady(self) -> bool:
        """True where the rate asked for is the same from beginning to end: neither a ramp nor a trace."""
        return self.arrival not in (*RAMPS, "trace")

    @property
    def shape(self) -> str:
        """How requests arrive, whatever the level: ``closed loop``, ``poisson``, ``gamma of burstiness 0.5``, ``trace``."""
        if not self.open_loop:
            return f"closed loop, users start over {self.ramp_up_s:g} s" if self.ramp_up_s else "closed loop"
        words: str = self.arrival
        if self.arrival == "gamma":
            words = f"gamma of burstiness {self.burstiness:g}"
        elif self.arrival in RAMPS:
            start = "" if self.ramp_from_per_s is None else f" from {self.ramp_from_per_s:g}"
            words = f"{self.steps} {words}{start}" if self.arrival == "steps" else f"{words}{start}"
        return words if self.max_in_flight is None else f"{words}, at most {self.max_in_flight} in flight"

    @property
    def label(self) -> str:
        """
        The load level as it stands in a test id.

        ``c64`` (``c64up10s`` with users that start over 10 s), ``r5`` for Poisson, ``r0.5``, ``rinf``, ``r5const``,
        ``r5gamma0.5``, ``r1to5linear``, ``r1to5exp``, ``r1to5steps4``, ``trace`` (``trace0.5`` with a time scale),
        ``sweep1of4`` within an automatic sweep, ``maxrate`` and ``maxconcurrency`` where the level is searched for; ``max32`` at
        the end with a cap on requests in flight.
        """
        if not self.open_loop:
            users = f"c{self.concurrency}" if self.search is None else "maxconcurrency"
            return f"{users}up{self.ramp_up_s:g}s" if self.ramp_up_s else users
        cap = "" if self.max_in_flight is None else f"max{self.max_in_flight}"
        if self.search is not None:
            return self._ramped("maxrate") + cap
        if self.swept:
            return self._ramped(f"sweep{self.sweep_place}of{self.sweep_of}") + cap
        if self.rate_per_s is None:
            return ("trace" if self.time_scale == 1 else f"trace{self.time_scale:g}") + cap
        rate = "inf" if self.rate_per_s == inf else f"{self.rate_per_s:g}"
        return f"r{self._ramped(rate)}{cap}"

    def _ramped(self, rate: str) -> str:
        if self.arrival in RAMPS:
            kind = {"linear": "linear", "exponential": "exp", "steps": f"steps{self.steps}"}[self.arrival]
            return f"{rate}{kind}" if self.ramp_from_per_s is None else f"{self.ramp_from_per_s:g}to{rate}{kind}"
        return {"constant": f"{rate}const", "gamma": f"{rate}gamma{self.burstiness:g}"}.get(self.arrival, rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The longest the client waits, in seconds: to connect, for the first token, between two reads, for a whole request."""

    connect_s: float = 10.0
    first_token_s: float = 300.0
    stall_s: float = 60.0
    total_s: float = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiOptions:
    """
    How requests are spelled and sent where their API leaves that open.

    Attributes:
        stream: answers come event by event; else each is one JSON document. APIs that make no tokens never stream.
        path: below the endpoint's URL, in place of the API's own; may hold ``{model}``. None: the API's own.
        body: of a ``template``, a JSON object (as text) with placeholders such as ``{prompt}``; empty for none.
        text: of a ``template``, the path to the text of an event or an answer, such as ``choices[0].text``; empty for none.
        headers: (name, value) of every request; ``${NAME}`` in a value is read from the environment when the load starts, and
            is never written anywhere.
        ca_file: PEM file of certificates to trust in place of the system's own.
    """

    stream: bool = True
    path: str | None = None
    body: str = ""
    text: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    ca_file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """
    Somebody else's load generator, which runs in a container beside the server in place of this plugin's own client.

    ``args``, ``env`` and ``results`` may hold ``{url}`` (the server, as the container reaches it), ``{model}`` and ``{port}``.

    Attributes:
        name: whose result files it leaves, such as ``genai-bench``.
        image: by tag or digest.
        results: the folder in the container where it leaves them.
    """

    name: str
    image: str
    results: str
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    volumes: tuple[Volume, ...] = ()
    shm_size_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """
    What a case needs of a Kubernetes cluster, beside its server: replicas behind a Service or a gateway.

    ``kind`` says who makes manifests of it, ``settings`` what they are made from: a JSON object as text.
    """

    kind: str
    settings: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """
    That a case's server only behaves like one on its hardware, and how.

    Attributes:
        startup_scale: the share of the start-up it would take that is waited for; 0: none of it.
        faults: what goes wrong with it, such as ``crash-after-requests=20``.
    """

    startup_scale: float = 0.0
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """
    One benchmark: this traffic, at this load, on this model server.

    ``model`` is what the person wrote (a catalogue name, a hub name, or a path). ``slo`` holds the objectives as written;
    the objectives stage gives them meaning. ``confidence`` is how sure a verdict has to be (0: the figures as seen count).
    ``id`` is unique in its suite and is what a person types after ``-k``.
    ``extra_body`` is a JSON object (as text; empty for none) of fields laid over every request's own.
    ``expected_miss`` says why this case is expected to miss its objectives; None where it is expected to meet them.
    ``fresh_server`` asks for a server that has answered nobody before. With a ``simulation`` nothing of it measures hardware.
    ``tool`` stands in for this plugin's own client; ``cluster`` is what it would take to run it. ``repeat`` counts from 1 where
    the case is measured several times; ``fail_on`` says how much worse than a baseline its figures may be, as written.
    """

    id: str
    suite: str
    hardware: str
    engine: EngineSpec
    model: str
    tensor_parallel: int
    traffic: Traffic
    load: Load
    api: Api = "chat"
    slo: tuple[str, ...] = ()
    confidence: float = CONFIDENCE
    limits: Limits = field(default_factory=Limits)
    origin: Origin | None = None
    expected_miss: str | None = None
    extra_body: str = ""
    api_options: ApiOptions = field(default_factory=ApiOptions)
    fresh_server: bool = False
    simulation: Simulation | None = None
    tool: Tool | None = None
    cluster: Cluster | None = None
    repeat: int | None = None
    fail_on: tuple[str, ...] = ()

    @property
    def base_id(self) -> str:
        """The id that its repeats have in common."""
        return self.id if self.repeat is None else self.id.removesuffix(f"-rep{self.repeat}")

    @property
    def simulated(self) -> bool:
        """Whether its server only behaves like one on its hardware."""
        return self.simulation is not None

    @property
    def gpus(self) -> int:
        """How many GPUs its server needs: as many as ranks that share the model; none on a CPU."""
        return 0 if self.hardware == "cpu" else self.tensor_parallel

    @property
    def server_key(self) -> str:
        """Twelve hex digits that are the same for cases that one running server can answer."""
        # All of it is frozen data, whose text is the same wherever it is equal.
        parts = (self.hardware, self.engine, self.model, self.tensor_parallel)
        text = repr(parts if self.simulation is None else (*parts, self.simulation))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def axes(self) -> dict[str, str | int | float]:
        """The case's place in its matrix, as plain values: what ``-m "case(tp=2)"`` matches and tables group by."""
        axes: dict[str, str | int | float] = {
            "suite": self.suite,
            "hardware": self.hardware,
            "engine": self.engine.name,
            "model": self.model,
            "tp": self.tensor_parallel,
            "traffic": self.traffic.text,
            "cache": self.traffic.cache,
            "api": self.api,
        }
        load = self.load
        if load.concurrency is not None:
            axes["concurrency"] = load.concurrency
        if load.swept:
            axes["sweep"] = f"{load.sweep_place}of{load.sweep_of}"
        if load.rate_per_s is not None:
            axes["rate"] = load.rate_per_s
        if load.trace is not None:
            axes["time_scale"] = load.time_scale
        return axes
