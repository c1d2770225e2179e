"""Tensors in, RegistrationResult out. Knows no file and no terminal."""
