"""Watches whether what the engine sees and says has moved away from what it was built on."""
