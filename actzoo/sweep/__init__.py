"""Many cells: the plan, the store, and the run over them."""
