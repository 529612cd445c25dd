"""The argument that names a ModelService, which the shell completes with those of the namespace."""

import asyncio
from typing import Final

import click
from click.shell_completion import CompletionItem

from modelservice_operator.cli.session import Target, open_session
from modelservice_operator.cli.world import list_all
from modelservice_operator.domain.tree import text
from modelservice_operator.kube.resources import MODEL_SERVICE

_SECONDS: Final = 3.0
"""A person who presses the tab key waits no longer for a cluster that does not answer."""


def complete_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names that begin so; none, and not a word, where the cluster does not give them."""
    target = Target.of(context.params)
    try:
        return asyncio.run(asyncio.wait_for(_names(target, incomplete), _SECONDS))
    except Exception:
        return []


async def _names(target: Target, incomplete: str) -> list[CompletionItem]:
    async with open_session(target) as session:
        found = await list_all(session.api, MODEL_SERVICE, session.namespace)
    named = ((text(service, "metadata", "name"), text(service, "status", "phase")) for service in found)
    return [CompletionItem(name, help=phase or None) for name, phase in named if name.startswith(incomplete)]


service_name = click.argument("name", shell_complete=complete_names)
optional_service_name = click.argument("name", required=False, shell_complete=complete_names)
