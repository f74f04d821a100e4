"""Recordings, streams, masks and events of live video, each behind a queue and a thread of its own.

`QueuedSink` is all that the pipeline sees and never holds it up; a `Writer` is plain code that may block or fail.
"""
