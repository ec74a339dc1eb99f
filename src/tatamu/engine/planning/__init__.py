"""What to run, and in which pieces: pure functions of the work and the target, one file per technique.

Nothing here depends on the number of threads, so results do not either.
"""
