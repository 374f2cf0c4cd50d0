"""Operators of the domain ai.onnx.ml, as scikit-learn's models are written with them."""
