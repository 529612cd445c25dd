"""How long a thread of OpenMP waits by spinning before it sleeps.

A forward pass is some hundred parallel regions, each followed by some ten microseconds of Python. A thread that sleeps
in each of those pauses has to be woken for each region, which costs a third of a decode step; so OpenMP lets threads
spin. But GNU's lets them spin for up to nine milliseconds, each time. On a machine that others use as well, one thread
then spins for as long while its partner waits for a CPU: decode steps took five times the CPU time that they need, and
a quota of CPU time is spent on nothing. A tenth of a millisecond covers the pauses of a pass.

The library reads the number when it is loaded, so it has to be there before torch is imported.
"""

from collections.abc import MutableMapping

SPIN_COUNT = "4000"
"""Turns of the loop: 0.12 ms on an AMD EPYC (30 ns a turn), about twice that where the CPU pauses for longer."""
COUNT, POLICY = "GOMP_SPINCOUNT", "OMP_WAIT_POLICY"


def limit_spinning(environment: MutableMapping[str, str]) -> None:
    """Limit how long threads spin, unless somebody has decided on it."""
    if POLICY not in environment:
        environment.setdefault(COUNT, SPIN_COUNT)
