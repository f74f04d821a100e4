"""`edgeseg advise`: every precision on every backend that runs here, proven, timed in turns, and one of them named.

Engines are built by `edgeseg.export`, judged by the rules of `edgeseg.proof` and opened as `run` opens them.
"""
