"""The engine as its users see it: what it takes, what it gives, how it may fail. It knows no backend."""
