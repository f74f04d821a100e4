"""Reads an engine's layers, their precisions, shapes and times from the engine of each backend."""
