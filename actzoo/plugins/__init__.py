"""Discovery, loading and look-up of the values that plugins offer."""
