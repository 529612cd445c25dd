"""Half of the clients leave at random, for minutes: no slot may be lost, no memory gained, and the rest be served.

    python -m tests.soak                 # five minutes
    python -m tests.soak --seconds 60

The server is a process of its own with a tiny decoder, so that its memory is its own.
"""
