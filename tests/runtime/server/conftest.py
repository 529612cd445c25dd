"""Models that are made once for all tests of the server, whose layers are packed however small they are."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelservice_runtime.models import packed_linear
from tests.runtime.support.tiny_models import make_classifier, make_decoder, make_encoder


@pytest.fixture(scope="session", autouse=True)
def packs_small_layers() -> Iterator[None]:
    """Serve packed layers in all tests: those of tiny models would stay as they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed_linear, "SMALLEST", dict.fromkeys(packed_linear.SMALLEST, 0))
        yield


@pytest.fixture(scope="session")
def decoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_decoder(tmp_path_factory.mktemp("decoder"))


@pytest.fixture(scope="session")
def classifier_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_classifier(tmp_path_factory.mktemp("classifier"))


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_encoder(tmp_path_factory.mktemp("encoder"))
