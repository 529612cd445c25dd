"""What the operator and the activator agree on.

The activator listens on a range of ports from its start, and the operator gives each ModelService that may go to zero
one of them for its whole life. So the port alone says which service a request is for, whatever the client wrote into
the Host header, and a port is never somebody else's before every node has forgotten its last use.
"""

from typing import Final

FIRST_PORT: Final = 20000
PORTS: Final = 1000

ACTIVITY_PATH: Final = "/activity"
"""On the activator's port for metrics: which services it holds requests of, or passes requests on for, as JSON."""
PAGES_PORT: Final = "metrics"
"""Name of that port in the activator's Service."""
HTTP_PORT: Final = "http"
"""Name of the port of a ModelService's Service on which it answers requests."""
SERVICE_NAME: Final = "kubernetes.io/service-name"
"""Label of an EndpointSlice: the Service that it belongs to."""
SLICE_MANAGED_BY: Final = "endpointslice.kubernetes.io/managed-by"
"""Label of an EndpointSlice: who keeps it. Kubernetes' own controller leaves the slices of others alone."""
