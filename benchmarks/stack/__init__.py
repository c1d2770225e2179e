"""`zncc stack` on a movie with known drift, beside pystackreg."""
