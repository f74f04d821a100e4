"""Any session in a process of its own: shared memory, the worker's loop, the supervisor that restarts it within bounds.

Nothing here knows CUDA or any other backend; what a failure means for the process is said by its class (`failures`).
"""
