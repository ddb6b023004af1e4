"""Ways to compute a weighted sum of activations: pure functions, no nn.Module."""
