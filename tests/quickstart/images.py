"""The images that a demonstration cluster needs: the operator, the runtime, and the demo models packed for `oci://`."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import Cluster
from tests.models import build_model

ROOT = Path(__file__).resolve().parents[2]
OPERATOR_IMAGE = "localhost/modelservice-operator:dev"
RUNTIME_IMAGE = "localhost/modelservice-runtime:dev"
DEMO_MODELS = ("demo-chat", "demo-embed", "demo-sentiment")


@dataclass(frozen=True)
class ImageSpec:
    """One image: its tag, the folder it is built from and its Dockerfile."""

    tag: str
    context: Path
    dockerfile: Path


def software() -> tuple[ImageSpec, ...]:
    """The operator's and the runtime's images, built from the checkout."""
    return (
        ImageSpec(OPERATOR_IMAGE, ROOT, ROOT / "operator" / "Dockerfile"),
        ImageSpec(RUNTIME_IMAGE, ROOT, ROOT / "runtime" / "Dockerfile"),
    )


def model_image(name: str) -> str:
    """The tag under which the demo model `name` is packed."""
    return f"localhost/models/{name}:dev"


def build_software(cluster: Cluster) -> None:
    """Build the operator's and the runtime's images into the cluster; unchanged ones take no time."""
    for spec in software():
        cluster.build_image(spec.tag, spec.context, spec.dockerfile)


def build_models(cluster: Cluster, names: Iterable[str] = DEMO_MODELS) -> None:
    """Make the named demo models in the cache, then pack each as an image in the cluster.

    Raises:
        KeyError: a name is no demo model.
    """
    for name in names:
        folder = build_model(name)
        cluster.build_image(model_image(name), folder, ROOT / "tests" / "models" / "Dockerfile")
