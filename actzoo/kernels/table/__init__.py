"""The table kernel: a whole mixture as one piecewise polynomial, whatever its members are."""
