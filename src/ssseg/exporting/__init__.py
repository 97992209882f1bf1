"""Exports trained networks as ONNX, `torch.export` programs or weights, and checks each file."""
