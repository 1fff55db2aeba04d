"""Tools of the cases: Kafka, workers, load, states of many users, clocks and reports."""
