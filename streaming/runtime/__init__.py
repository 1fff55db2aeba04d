"""The worker: Faust's app, its start, its membership, its tasks as partitions come and go."""
