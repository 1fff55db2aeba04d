"""The agents, one module each: the processing of each topic's batches."""
