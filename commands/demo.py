"""``make demo``: Kafka, two workers, the load generator, and a line of live figures.

Kafka is the embedded one, unless ``BROKER_URL`` names another. Each part is a child process with
its own log file. Ctrl-C, SIGTERM or the end of ``DEMO_SECONDS`` stops them in order.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

import orjson
from prometheus_client.parser import text_string_to_metric_families

from embedded import EmbeddedKafka, EmbeddedKafkaError
from embedded.probe import free_ports, is_free
from embedded.process import BoundProcess
from setting_file import read_env_file
from settings import SettingsError, load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

WORKERS = 2
KAFKA_PORT = 9092
START_TIMEOUT_S, STOP_TIMEOUT_S = 90.0, 15.0

#: Variables that two workers cannot share.
OF_ONE_WORKER = {"APP_DATADIR", "CONSUMER_GROUP_INSTANCE_ID", "NODE_CANONICAL_URL", "WEB_PORT"}

#: Events per second: the figures move, and the machine stays usable.
RATE = 2000
GENERATE = ("--rate", str(RATE), "--users", "50000", "--videos", "5000", "--viral", "5")
ODDITIES = ("--invalid", "0.002", "--duplicates", "0.01", "--late", "0.001")

#: Opens addresses of this machine, without the proxy that the environment may name.
LOCAL = build_opener(ProxyHandler({}))


class Child:
    """A process of the demo, with a log file; it ends with the demo, even with a killed one."""

    def __init__(self, name: str, args: list[str], env: Mapping[str, str], logs: Path) -> None:
        """Start the process in its own session, out of reach of the terminal's Ctrl-C."""
        self.name = name
        self.log = logs / f"{name}.log"
        self.log.unlink(missing_ok=True)
        self.process = BoundProcess(args, output=self.log, env=env, folder=Path.cwd())
        self.process.start()

    def check(self) -> None:
        """Exit with the last lines of the log if the process has ended."""
        if not self.process.running:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
            sys.exit(f"error: {self.name} ended with code {self.process.exit_code}:\n{tail}")

    def stop(self) -> None:
        """Terminate the process, and kill it if that takes too long."""
        self.process.terminate(STOP_TIMEOUT_S)


def fetch(url: str, token: str | None) -> bytes | None:
    """Return the body of a worker's answer, None if there is none (yet) or an error."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with LOCAL.open(Request(url, headers=headers), timeout=2) as response:  # noqa: S310 - http
            body: bytes = response.read()
            return body
    except (URLError, OSError):
        return None


class LiveFigures:
    """Sums of all workers' metrics, and the rate between two readings."""

    def __init__(self, urls: list[str], token: str | None) -> None:
        """Read from the workers at ``urls``."""
        self._urls = urls
        self._token = token
        self._last: tuple[float, float] | None = None
        self._last_buckets: dict[float, float] = {}
        self.events = 0.0

    def line(self) -> str:
        """Return the live line; rate and latency are since the previous line."""
        sums: dict[str, float] = {}
        buckets: dict[float, float] = {}
        for url in self._urls:
            body = fetch(f"{url}/metrics", self._token)
            for family in text_string_to_metric_families((body or b"").decode()):
                for sample in family.samples:
                    name = sample.name + "".join(
                        f" {sample.labels[key]}" for key in ("outcome",) if key in sample.labels
                    )
                    sums[name] = sums.get(name, 0.0) + sample.value
                    if sample.name == "reels_ingest_latency_seconds_bucket":
                        bound = float(sample.labels["le"])
                        buckets[bound] = buckets.get(bound, 0.0) + sample.value
        read, now = sums.get("reels_events_read_total", 0.0), time.monotonic()
        rate = 0.0
        self.events = read
        if self._last:
            rate = max(0.0, read - self._last[1]) / (now - self._last[0])
        self._last = (now, read)
        since = {
            bound: count - self._last_buckets.get(bound, 0.0) for bound, count in buckets.items()
        }
        self._last_buckets = buckets
        outcomes = ", ".join(
            f"{sums.get(f'reels_events_total {name}', 0):,.0f} {name}"
            for name in ("applied", "duplicate", "late", "rejected")
        )
        return (
            f"{rate:7,.0f} events/s | {outcomes} | p99 {self._p99(since)} | "
            f"lag {sums.get('reels_consumer_lag_records', 0):,.0f} | {self._viral()}"
        )

    def _p99(self, buckets: dict[float, float]) -> str:
        total = max(buckets.values(), default=0.0)
        for bound in sorted(buckets):
            if total and buckets[bound] >= 0.99 * total:
                return f"<= {bound * 1000:g} ms"
        return "-"

    def _viral(self) -> str:
        body = fetch(f"{self._urls[0]}/videos/viral?limit=100", self._token)
        videos: list[dict[str, Any]] = orjson.loads(body)["videos"] if body else []
        if not videos:
            return "nothing viral yet"
        top = ", ".join(f"{v['video_id']} ({v['viral_coefficient']:.2f})" for v in videos[:2])
        return f"{len(videos)} viral: {top}"


def wait_ready(workers: list[Child], urls: list[str], token: str | None) -> None:
    """Wait until every worker is ready; exit if one ends or takes too long."""
    deadline = time.monotonic() + START_TIMEOUT_S
    for worker, url in zip(workers, urls, strict=True):
        while fetch(f"{url}/readyz", token) is None:
            worker.check()
            if time.monotonic() > deadline:
                sys.exit(f"error: {worker.name} is not ready after {START_TIMEOUT_S:.0f} s")
            time.sleep(0.2)


def show(figures: LiveFigures, children: list[Child], seconds: float) -> None:
    """Print the live line until events have flowed for ``seconds``.

    The time starts with the first counted event, because on a busy machine the generator's start
    takes longer than a short demo. The last line is printed when the time is over.
    """
    terminal = sys.stdout.isatty()
    end = time.monotonic() + START_TIMEOUT_S
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(1.0 if terminal or not figures.events else 5.0, left))
        for child in children:
            child.check()
        seen = figures.events
        line = figures.line()
        if not figures.events:
            continue
        if not seen:
            end = time.monotonic() + seconds
        print(f"\r\x1b[K{line}" if terminal else line, end="" if terminal else "\n", flush=True)
    if not figures.events:
        sys.exit(f"error: no event was counted within {START_TIMEOUT_S:.0f} s: see the logs")


@contextlib.contextmanager
def demo_folder() -> Iterator[Path]:
    """Yield ``DEMO_DIR``, or a temporary folder that is deleted unless the demo fails."""
    if chosen := os.environ.get("DEMO_DIR"):
        folder = Path(chosen)
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    folder = Path(tempfile.mkdtemp(prefix="reels-demo-"))
    try:
        yield folder
    except KeyboardInterrupt:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def run(seconds: float) -> None:
    """Run the demo for ``seconds``."""
    token = load().http_token
    with demo_folder() as folder, contextlib.ExitStack() as stack:
        # An empty variable is not read from the file .env either.
        env = {**os.environ, **dict.fromkeys(OF_ONE_WORKER, ""), "WEB_BIND": "127.0.0.1"}
        if not env.get("BROKER_URL"):
            port = KAFKA_PORT if is_free(KAFKA_PORT) else 0
            if port == 0:
                print(f"port {KAFKA_PORT} is in use: Kafka gets another one")
            print("starting the embedded Kafka", flush=True)
            kafka = EmbeddedKafka(port, folder / "kafka", progress=print)
            env["BROKER_URL"] = stack.enter_context(kafka).url
        faust = [sys.executable, "-m", "faust", "-A", "app"]
        ports = free_ports(WORKERS)
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        print(f"starting {WORKERS} workers on Kafka at {env['BROKER_URL']}", flush=True)
        workers = []
        for number, port in enumerate(ports, 1):
            args = ["--datadir", str(folder / f"worker-{number}"), "worker", "-l", "info"]
            worker = Child(
                f"worker-{number}", [*faust, *args, "--web-port", str(port)], env, folder
            )
            stack.callback(worker.stop)
            workers.append(worker)
        wait_ready(workers, urls, token)
        generator = Child("generator", [*faust, "generate", *GENERATE, *ODDITIES], env, folder)
        stack.callback(generator.stop)
        print(f"dashboard: {urls[0]}/   (the other worker: {urls[1]}/)")
        print(f"try: curl {urls[0]}/users/42, {urls[0]}/videos/viral")
        kept = (
            "kept"
            if os.environ.get("DEMO_DIR")
            else "deleted at the end; DEMO_DIR=folder keeps them"
        )
        print(f"logs and data: {folder} ({kept})")
        print("the first events arrive in a moment; Ctrl-C stops everything", flush=True)
        show(LiveFigures(urls, token), [*workers, generator], seconds)
        print("\nstopping", flush=True)


def main() -> None:
    """Run until Ctrl-C, SIGTERM, or until events have flowed for ``DEMO_SECONDS``."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    read_env_file()
    # The terminal may be closed, too.
    for each in (signal.SIGTERM, signal.SIGHUP):
        # nohup ignores SIGHUP.
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, interrupt)
    try:
        seconds = float(os.environ.get("DEMO_SECONDS") or "inf")
    except ValueError:
        sys.exit("error: DEMO_SECONDS must be a number of seconds")
    try:
        run(seconds)
    except KeyboardInterrupt:
        print("\nstopped")
    except (SettingsError, EmbeddedKafkaError) as exc:
        sys.exit(f"error: {exc}")


if __name__ == "__main__":
    main()
