"""The last fraction of a pixel, by the symmetric metric on the images themselves."""
