"""Read TFLite files; see `load.load_tflite`.

reader (bytes, checked) -> file (values) -> operators (one function for each builtin, which appends
to builder through context and values) -> the normalising that every ONNX model goes through.
"""
