"""What the passes and lowering know about an ONNX graph: shapes, constants, QDQ, costs."""
