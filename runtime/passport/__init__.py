"""Read an engine's passport, check it, and hold what the engine is bound to against this machine."""
