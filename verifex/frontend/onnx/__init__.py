"""ONNX in and out: files, tensors, the importer, the exporter, runs for comparison."""
