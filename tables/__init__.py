"""The tables: sliced windows in RocksDB, and the global table of viral videos."""
