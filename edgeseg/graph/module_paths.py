"""The names of parameters in a graph: the paths of their modules."""

WRAPPERS = ("network.",)
"""Module prefixes that say nothing."""


def module_path(name: str) -> str:
    """The name of a parameter in the graph, of its name in PyTorch."""
    for prefix in WRAPPERS:
        while name.startswith(prefix):
            name = name.removeprefix(prefix)
    return name
