"""What the cases measure with: Kafka, workers, load, states of many users, clocks and reports."""
