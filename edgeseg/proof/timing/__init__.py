"""The one meter of a frame: what `verify` and `bench` time is what `run` does with a decoded picture."""
