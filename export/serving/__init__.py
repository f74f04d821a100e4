"""Configurations of other people's servers: Triton's model repository, DeepStream's nvinfer.

What a server needs beside the network is written as ONNX graphs: the resize before it, the mask behind it.
Nothing here imports a server or its client.
"""
