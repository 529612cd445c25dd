"""The gRPC form of the open inference protocol. `open_inference_pb2` is generated: see `generate.py`."""
