"""The tables: sliced windows over RocksDB, and the global list of viral videos."""
