"""What an engine is to whoever runs it: its input, its outcomes, the failures it may have. Knows no backend."""
