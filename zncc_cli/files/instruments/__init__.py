"""Formats that instruments and their programs write: one module a format, each around a library that is an extra.

lif.py  nd2.py  czi.py  oif.py   microscopes of Leica, Nikon, Zeiss, Olympus
slide.py                         whole slides of pathology
dm.py  mrc.py                    electron microscopes
dicom.py  nifti.py  nrrd.py  metaimage.py   medicine
fits.py                          telescopes
hdf5.py                          data sets in HDF5
bioio.py                         what an installed bioio reads
"""
