"""Cells on disk: their types, the folder that holds them, and how they were made."""
