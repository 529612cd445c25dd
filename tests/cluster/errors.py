"""What can go wrong with a local cluster, each with the words that a person needs to go on."""


class ClusterError(Exception):
    """A verb of the harness cannot do its job; the message says what happened, where, and the way out."""


class ProcessDiedError(ClusterError):
    """A process of the cluster ended by itself; the message carries the end of its log."""


class ToolMissingError(ClusterError):
    """A program is needed that the harness cannot get by itself."""
