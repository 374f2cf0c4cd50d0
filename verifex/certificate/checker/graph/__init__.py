"""The graph of a network: forms, tensors, affine steps, relaxed nodes, derivatives."""
