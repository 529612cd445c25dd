"""The chart as tests see it: values in, objects out."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

RELEASE = "modelservice"
NAMESPACE = "modelservice-system"
SERVED = ("--api-versions", "modelservice.dev/v1alpha1/RuntimeProfile")

Object = dict[str, Any]


class RefusedError(Exception):
    """Helm refused the values; the message is Helm's."""


@dataclass(frozen=True)
class Chart:
    """The chart in `folder`, rendered by the binary `helm`."""

    helm: Path
    folder: Path

    def run(self, *arguments: str, values: Object | None = None) -> str:
        """What Helm prints.

        Raises:
            RefusedError: Helm failed.
        """
        command = [str(self.helm), *arguments]
        text = None
        if values is not None:
            command += ["--values", "-"]
            text = yaml.safe_dump(values)
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise RefusedError(done.stderr)
        return done.stdout

    def render(
        self, values: Object | None = None, *arguments: str, release: str = RELEASE, served: bool = True
    ) -> list[Object]:
        """The objects that the values give, hooks included; `served` says that the cluster knows our kinds already."""
        known = SERVED if served else ()
        command = ("template", release, str(self.folder), "--namespace", NAMESPACE, *known, *arguments)
        return [each for each in yaml.safe_load_all(self.run(*command, values=values or {})) if each]


def of_kind(objects: list[Object], kind: str, name: str | None = None) -> list[Object]:
    """The objects of that kind, and of that name if one is given."""
    return [each for each in objects if each["kind"] == kind and name in (None, each["metadata"]["name"])]


def one(objects: list[Object], kind: str, name: str | None = None) -> Object:
    """The only object of that kind (and name)."""
    (found,) = of_kind(objects, kind, name)
    return found
