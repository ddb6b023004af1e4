"""What networks are asked to do: the data, and how they are read."""
