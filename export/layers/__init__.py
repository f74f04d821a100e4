"""What an engine consists of: its layers, their precisions, shapes and times, read from the engine of each backend."""
