"""`edgeseg doctor --qualify`: each engine that this machine can build: built, compared, soaked, timed.

The folder that it writes grows engine by engine; each file in it is whole, and a second run takes up what is done.
"""
