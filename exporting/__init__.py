"""Every key's metrics at one time, from the committed tables to files for people and models."""
