"""Discovery, loading and look-up of what plugins offer."""
