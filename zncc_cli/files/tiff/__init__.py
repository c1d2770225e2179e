"""TIFF in all its flavours, read and written through tifffile.

read.py               opens a file, chooses a series, returns its pixels (lazily) and metadata
series.py             the series of a file, smaller copies and masks among them
further_pages.py      what pages after the first have of their own
ifd_chain.py          follows the chain of pages before tifffile does
checks.py             compares sizes that a file claims with what it can hold
samples.py            tells grey, RGB, inks, alpha and channels apart; palettes
lazy_pages.py         the pages of a series as a lazy array
input_errors.py       errors of tifffile, as ours
segments.py           reads parts of pages: rows, strips, tiles
codestreams.py        sizes that JPEG, JPEG 2000 and LERC data claim for themselves
page_metadata.py      tags and ImageJ's words -> Metadata
ome_xml.py            OME-XML -> pixel size, channels, planes
ome_parts.py          which planes of a data set in several files a file holds
confocal.py           calibration of LSM and STK
scale_statements.py   what descriptions say of the size of a pixel
regridded.py          descriptions and tags on the grid of another image
xmp.py                properties of XMP that hold for the grid
page_tags.py          tags that each page has of its own, put into the file that is written
copied_tags.py        which tags of a file are copied into the file that is written
georeference.py       GeoTIFF tags, moved to another corner
calibration.py        pixel sizes and resolutions, from one unit into another
orientation.py        the orientation tag (of EXIF, too)
write.py              writes strips with the flavour, compression and tags of another image
layout.py             how an image is stored in pages and strips
written_tags.py       the tags of the file that is written
descriptions.py       the descriptions that ImageJ and OME-TIFF files carry
codecs.py             compressions that can be written
"""
