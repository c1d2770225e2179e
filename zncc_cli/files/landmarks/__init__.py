"""Landmarks on disk: the same places marked in both images.

read.py               landmarks of any format, told by content: of both images from one file, or paired from two
landmarks.py          what a file holds: pairs, or the points of one image
table.py  imagej.py  geojson.py    the files of each kind: recognizes, parse
"""
