"""One run of a command: which cluster and namespace, how to print, and the client, which cannot write."""

import asyncio
import functools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate

import click

from modelservice_operator.kube.client import KubernetesApi, Login
from modelservice_operator.kube.errors import ApiError, Forbidden, NotFound

EXIT_ERROR = 1
_DEFAULT_KUBECONFIG = Path("~/.kube/config")
_NAMES = ("kubeconfig", "context", "namespace", "output")


class CommandError(click.ClickException):
    """What keeps a command from being carried out; the message says what to do about it."""

    exit_code = EXIT_ERROR


@dataclass(frozen=True, slots=True)
class Target:
    """The options that every command has."""

    kubeconfig: Path | None
    context: str | None
    namespace: str | None
    output: str | None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Target":
        """Take the options out of all that a command was given."""
        return cls(*(options.get(name) for name in _NAMES))

    def kubectl_flags(self) -> list[str]:
        """The same choice, in kubectl's words."""
        chosen = {"--kubeconfig": self.kubeconfig, "--context": self.context, "--namespace": self.namespace}
        return [f"{flag}={value}" for flag, value in chosen.items() if value]


@dataclass(frozen=True, slots=True)
class Session:
    """A logged-in run of a command. `api` sends every write as a dry run."""

    target: Target
    login: Login
    api: KubernetesApi
    namespace: str

    @property
    def is_json(self) -> bool:
        """Whether the answer is for a program."""
        return self.target.output == "json"


_OPTIONS = (
    click.option("--kubeconfig", type=click.Path(path_type=Path), help="Kubeconfig file; default: as kubectl."),
    click.option("--context", help="Context of the kubeconfig; default: the current one."),
    click.option("-n", "--namespace", help="Namespace; default: the context's."),
    click.option("-o", "--output", type=click.Choice(("text", "json")), default="text", help="How to print."),
)


def with_cluster(work: Callable[Concatenate[Session, ...], Awaitable[int]]) -> Callable[..., int]:
    """Make a command of a coroutine that takes a Session and returns the exit status."""

    @functools.wraps(work)
    def command(**options: Any) -> int:
        target = Target.of(options)
        own = {name: value for name, value in options.items() if name not in _NAMES}
        return asyncio.run(_run(target, lambda session: work(session, **own)))

    return functools.reduce(lambda decorated, option: option(decorated), reversed(_OPTIONS), command)


async def _run(target: Target, work: Callable[[Session], Awaitable[int]]) -> int:
    try:
        async with open_session(target) as session:
            return await work(session)
    except NotFound as error:
        raise CommandError(error.message) from None
    except Forbidden as error:
        raise CommandError(f"not allowed: {error.message}") from None
    except ApiError as error:
        raise CommandError(f"the API server could not be asked: {error}") from None


@asynccontextmanager
async def open_session(target: Target) -> AsyncIterator[Session]:
    """Log in for a block. Raises CommandError when there is no cluster to log in to."""
    try:
        login = await Login.load(target.kubeconfig, _environment(), target.context)
    except Exception as error:
        raise CommandError(f"cannot log in to a cluster: {error}; name a file with --kubeconfig") from None
    api = KubernetesApi(login, agent="kubectl-modelservice", dry_run=True)
    try:
        yield Session(target, login, api, target.namespace or login.namespace)
    finally:
        await api.close()
        login.close()


def _environment() -> dict[str, str]:
    """The environment to log in with: a person's kubeconfig goes before the account of a pod that a shell runs in."""
    own = os.environ.get("KUBECONFIG") or _DEFAULT_KUBECONFIG.expanduser().exists()
    return {} if own else dict(os.environ)
