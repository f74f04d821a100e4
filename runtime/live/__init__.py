"""Live video: a picture that never waits for the engine, never freezes and never lies.

Sources give frames (`SourceFrame`); the engine sees the newest one; the presenter joins each frame with a mask that is
young enough (`Presented`) and offers it to every sink, none of which can hold it up.
"""
