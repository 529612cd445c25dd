"""The port to the API server: dicts in, dicts out, an explicit deadline for every call, typed errors.

The controller, the elector and the resync depend on this Protocol; `kube.client` implements it, and so does the
in-memory fake of the tests. One contract test suite holds both to the same behaviour.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from modelservice_operator.kube.resources import Resource

Body = dict[str, Any]

DEADLINE = 10.0
"""Seconds that one call may take unless the caller says otherwise."""


PAGE = 100
"""Objects asked for at once: a page is parsed as a whole, so the size of a page is the peak of the memory."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list. `version` is that of the whole list."""

    items: list[Body]
    version: str


class KubeApi(Protocol):
    """Every method raises an `ApiError` on any answer but success, `Unavailable` when the deadline passes."""

    async def get(self, resource: Resource, namespace: str, name: str, deadline: float = DEADLINE) -> Body:
        """Read one object from the API server (a quorum read)."""

    def list_pages(
        self, resource: Resource, namespace: str = "", limit: int = PAGE, deadline: float = DEADLINE
    ) -> AsyncIterator[Page]:
        """Read every object that the resource's selector matches, in pages of one consistent snapshot."""

    async def apply(
        self, resource: Resource, manifest: Mapping[str, Any], deadline: float = DEADLINE, only_new: bool = False
    ) -> Body:
        """Server-side apply with the operator's field manager, taking over fields that others own.

        With `only_new` an object that exists is left alone (`Conflict`). Return the object.
        """

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str, deadline: float = DEADLINE) -> None:
        """Delete one object if its uid is still the one given (else `Conflict`), its dependents in the background."""

    async def patch_status(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        patch: Mapping[str, Any],
        version: str,
        deadline: float = DEADLINE,
    ) -> Body:
        """Merge-patch the status if the object is still at `version` (else `Conflict`); return the object."""

    async def create(self, resource: Resource, body: Mapping[str, Any], deadline: float = DEADLINE) -> Body:
        """Create one object; `Conflict` if it exists."""

    async def replace(self, resource: Resource, body: Mapping[str, Any], deadline: float = DEADLINE) -> Body:
        """Replace one object at the version in its metadata (else `Conflict`)."""

    async def scale_from_zero(self, resource: Resource, namespace: str, name: str, deadline: float = DEADLINE) -> bool:
        """Give one object a replica through its scale subresource, if it has none; return whether it had none.

        `Conflict` if it changed meanwhile.
        """

    async def serves(self, resource: Resource, deadline: float = DEADLINE) -> bool:
        """Whether the API server knows the kind now."""
