"""How fast one worker works off a backlog, exactly once: ``python -m benchmarks.backlog``.

Starts a Kafka of its own, fills the input topic, starts one worker, and takes the time from the
first committed event to the last, and the processor time that the worker and the broker took.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from embedded import EmbeddedKafka
from embedded.probe import free_ports

FAUST = [sys.executable, "-m", "faust", "-A", "app"]
TOPIC = "engagement-events"
GROUP = "reels"
LIMIT = 300.0


class Usage(NamedTuple):
    """Seconds of processor time, and bytes of memory, of a process so far."""

    cpu: float
    rss: int

    @classmethod
    def of(cls, pid: int) -> Usage:
        """Read them from /proc (Linux)."""
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks = int(fields[11]) + int(fields[12])
        return cls(ticks / os.sysconf("SC_CLK_TCK"), int(fields[21]) * os.sysconf("SC_PAGE_SIZE"))


async def follow(bootstrap: str, worker: int, broker: int) -> str:
    """Watch the group's offsets until all is committed; return the figures."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await admin.start()
    await consumer.start()
    try:
        tps = [TopicPartition(TOPIC, number) for number in range(8)]
        total = sum((await consumer.end_offsets(tps)).values())
        begun = None
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            try:
                offsets = await admin.list_consumer_group_offsets(GROUP)
            except GroupCoordinatorNotAvailableError:  # nobody has joined yet
                offsets = {}
            done = sum(at.offset for tp, at in offsets.items() if tp.topic == TOPIC)
            now, usage, kafka = time.monotonic(), Usage.of(worker), Usage.of(broker)
            if begun is None and done > 0:
                begun = (now, done, usage.cpu, kafka.cpu)
            if begun and done >= total:
                events, seconds = done - begun[1], now - begun[0]
                return (
                    f"{events / seconds:,.0f} events/s, "
                    f"{(usage.cpu - begun[2]) / events * 1e6:.1f} us of CPU an event (worker), "
                    f"{(kafka.cpu - begun[3]) / events * 1e6:.1f} us (broker), "
                    f"{usage.rss / 2**20:.0f} MiB"
                )
            await asyncio.sleep(0.1)
    finally:
        await admin.close()
        await consumer.stop()
    sys.exit(f"error: not done after {LIMIT:.0f} s")


def run(events: int, users: int) -> str:
    """Do one run."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedKafka(heap="1g") as kafka:
        env = {**os.environ, "BROKER_URL": kafka.url, "APP_DATADIR": folder}
        fill = ["generate", "--rate", "0", "--count", str(events), "--users", str(users)]
        subprocess.run([*FAUST, *fill], env=env, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        args = [*FAUST, "worker", "-l", "warn", "--web-port", str(free_ports(1)[0])]
        with subprocess.Popen(  # noqa: S603
            args, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as worker:
            try:
                return asyncio.run(follow(kafka.bootstrap, worker.pid, kafka.pid or 0))
            finally:
                worker.terminate()


def main() -> None:
    """Run as often as asked for, and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    for _ in range(options.runs):
        print(run(options.events, options.users), flush=True)


if __name__ == "__main__":
    main()
