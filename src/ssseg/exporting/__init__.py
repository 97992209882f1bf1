"""Trained networks handed on: ONNX, a `torch.export` program, plain weights; each checked."""
