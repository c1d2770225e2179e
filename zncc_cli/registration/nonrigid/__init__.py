"""Transforms that bend: a matrix and a cubic B-spline of displacements, found by local ZNCC."""
