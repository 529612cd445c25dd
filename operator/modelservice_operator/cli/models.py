"""`models`: every ModelService of the cluster, or of a namespace, with what it holds and costs."""

import json
from dataclasses import asdict
from datetime import UTC, datetime

import click

from modelservice_operator.cli.fleet import Member, align, table, take_stock
from modelservice_operator.cli.session import Session, with_cluster
from modelservice_operator.cli.world import list_all
from modelservice_operator.kube.errors import Forbidden
from modelservice_operator.kube.resources import MODEL_SERVICE, POD


@click.command()
@click.option("--gpu-price", type=click.FloatRange(min=0), help="Price of one GPU for an hour; shows what each costs.")
@with_cluster
async def models(session: Session, gpu_price: float | None) -> int:
    """List all ModelServices with model, replicas, memory, GPUs and cost; with -n those of one namespace.

    Memory and GPUs are what the pods ask for, whether they run or wait for a node. GPU-H are the GPU-hours of the pods
    that exist now, START is how long the newest start took.
    """
    members = await look_at_fleet(session, gpu_price)
    if session.is_json:
        click.echo(json.dumps([asdict(member) for member in members], indent=2))
    elif members:
        click.echo("\n".join(align(table(members))))
    else:
        click.echo("there is no ModelService; `kubectl modelservice new` writes a first one", err=True)
    return 0


async def look_at_fleet(session: Session, gpu_price: float | None = None) -> list[Member]:
    """The members of the chosen namespace, else of all, else, where that may not be read, of the context's own."""
    namespace = session.target.namespace or ""
    try:
        return await _take_stock(session, namespace, gpu_price)
    except Forbidden as error:
        if namespace:
            raise
        click.echo(f"Note: only namespace {session.namespace} is shown: {error.message}", err=True)
        return await _take_stock(session, session.namespace, gpu_price)


async def _take_stock(session: Session, namespace: str, gpu_price: float | None) -> list[Member]:
    services = await list_all(session.api, MODEL_SERVICE, namespace)
    return take_stock(services, await list_all(session.api, POD, namespace), gpu_price, datetime.now(UTC))
