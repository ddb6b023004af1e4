"""One cell of an experiment: what to run, the phases, the training loop, the result."""
