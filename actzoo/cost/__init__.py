"""What activations cost: everything timed in turn, and told as ratios within one run."""
