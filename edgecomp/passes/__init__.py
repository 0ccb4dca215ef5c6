"""Compression passes: ONNX in, ONNX out."""
