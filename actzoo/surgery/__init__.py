"""Other activations in the place of those of any model."""
