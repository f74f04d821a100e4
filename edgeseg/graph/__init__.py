"""ONNX graphs as values: load them safely, read and write our metadata, hash their weights, passes (Q/DQ among them).

Each pass takes a ModelProto and returns a new one; nothing here runs a network.
"""
