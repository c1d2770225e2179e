"""Images made ready: masks, no-data values, hot pixels, thin gaps."""
