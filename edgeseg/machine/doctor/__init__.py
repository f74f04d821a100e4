"""`edgeseg doctor`: what a machine has and lacks. Each check is a plain function of a view of the machine.

Nothing here initialises CUDA in this process or imports a heavy package: versions come from metadata, and whatever must
be loaded to be known is asked of a child process (loading_probes.py).
"""
