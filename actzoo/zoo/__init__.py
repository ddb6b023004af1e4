"""The built-in plugins: one module a family, written with nothing but the public names."""
