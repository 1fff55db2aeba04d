"""``python -m benchmarks.peers.pin``: write the lists of jars, for upgrades of Java's peers."""

from __future__ import annotations

from benchmarks.peers import flink, streams
from embedded.pinning import pin

if __name__ == "__main__":
    for peer in (streams, flink):
        print(f"{pin(peer.MANIFEST, peer.ROOTS)} jars in {peer.MANIFEST}")
