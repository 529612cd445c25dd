"""Python's search for garbage, kept away from what a server holds until its end.

A full search looks at every object that may be part of a cycle. Torch and transformers alone bring half a million of
them, which takes a fifth of a second on a fast machine, and for that long the process does nothing else: no token is
made, no probe answered, no request refused. Under load it came about every ten seconds, and while the libraries are
imported, when no object is ever garbage, several times. So there is no search until the model is loaded, and what is
there then is never looked at again.
"""

import gc
import logging

logger = logging.getLogger(__name__)


def suspend_search() -> None:
    """Search for no garbage until `exempt_what_is_there`."""
    gc.disable()


def exempt_what_is_there() -> None:
    """Search once, take what is left out of all further searches, and search as usual from now on."""
    gc.collect()
    gc.freeze()
    gc.enable()
    logger.info("objects exempt from the search for garbage", extra={"objects": gc.get_freeze_count()})
