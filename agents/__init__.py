"""The agents, a module each: what happens to a batch of each topic."""
