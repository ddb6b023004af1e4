"""The sources of functions: their imports, their neighbours, and all code that they reach."""
