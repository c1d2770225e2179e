"""Many pairs, that survive whatever becomes of one of them, of a process, or of the machine.

    pairs -> run -> an engine (processes here, or a Dask cluster) -> worker -> manifest, batch.csv, batch.html

Only `worker` runs a registration and loads torch; the others run in the process that looks after the batch.
"""
