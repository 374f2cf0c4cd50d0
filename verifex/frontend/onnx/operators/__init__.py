"""ONNX operators, one small function each, by family."""
