"""Models that are made once for all tests of the runtime."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def decoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.runtime.support.tiny_models import make_decoder

    return make_decoder(tmp_path_factory.mktemp("decoder"))


@pytest.fixture(scope="session")
def classifier_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.runtime.support.tiny_models import make_classifier

    return make_classifier(tmp_path_factory.mktemp("classifier"))


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.runtime.support.tiny_models import make_encoder

    return make_encoder(tmp_path_factory.mktemp("encoder"))
