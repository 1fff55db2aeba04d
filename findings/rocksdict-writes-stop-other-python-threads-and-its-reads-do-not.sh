#!/usr/bin/env bash
# The good guess: a binding of a database releases the interpreter's lock (GIL) while the database works,
# so that a write in a thread does not stop the other threads; if it does so for reads, also for writes.
# The behaviour: rocksdict 0.3.29 releases the lock in get() of a list of keys, and holds it in write().
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check rocksdict==0.3.29

timeout 120 venv/bin/python - <<'PY'
import sys
import threading
import time
from importlib.metadata import version

from rocksdict import Options, Rdict, WriteBatch

KEYS = 400_000
TICK_S = 0.001


def share_of_ticks(work):
    """Return the ticks of another thread while ``work`` runs, as a share of those of a sleep."""
    ticks, is_done = 0, threading.Event()

    def tick():
        nonlocal ticks
        while not is_done.is_set():
            time.sleep(TICK_S)
            ticks += 1

    thread = threading.Thread(target=tick)
    thread.start()
    begun = time.perf_counter()
    work()
    took_s, counted = time.perf_counter() - begun, ticks
    time.sleep(took_s)
    idle = ticks - counted
    is_done.set()
    thread.join()
    return took_s, counted / idle


db = Rdict("db", Options(raw_mode=True))
batch = WriteBatch(raw_mode=True)
keys = [b"%d" % number for number in range(KEYS)]
for key in keys:
    batch.put(key, bytes(200))
write_s, in_write = share_of_ticks(lambda: db.write(batch))
db.flush()
read_s, in_read = share_of_ticks(lambda: db.get(keys))
print("rocksdict", version("rocksdict"), "on Python", sys.version.split()[0])
print("guessed: another thread runs during both")
print(f"seen: it gets {in_write:.0%} of its turns in a write of {1000 * write_s:.0f} ms,")
print(f"      and {in_read:.0%} in a read of {1000 * read_s:.0f} ms")
sys.exit(not (in_write < 0.1 and in_read > 0.3))
PY
