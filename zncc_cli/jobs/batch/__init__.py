"""Many pairs: a batch survives whatever happens to one pair, to a process or to the machine.

    pairs -> run -> an engine (processes here, or a Dask cluster) -> worker -> manifest, batch.csv, batch.html

Only `worker` runs a registration and loads torch; the other modules run in the main process of the batch.
"""
