"""Any engine in processes of its own: shared memory, the worker's loop, supervisors that restart it.

Nothing here knows CUDA or any other backend; what a failure means for the process is said by its class (`failures`).
"""
