"""Where a live pipeline's frames go: recordings, streams, masks, events; each behind a queue and a thread of its own.

`QueuedSink` is all that the pipeline sees and never holds it up; a `Writer` is plain code that may block or fail.
"""
