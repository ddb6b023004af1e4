"""Where code comes from: what a source imports, its neighbours, and all that it can reach."""
