"""Tensors in, tensors out: the differentiable operators. Knows nothing of registration."""
