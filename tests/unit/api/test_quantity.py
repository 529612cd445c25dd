from decimal import Decimal

import pytest

from modelservice_operator.api.quantity import canonical_quantity, is_quantity, parse_quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", "0"), ("2", "2"), (2, "2"), ("500m", "0.5"), ("1.5Gi", "1610612736"), ("2e3", "2000"), ("1E", "1e18"),
        ("1E3", "1000"), (".5", "0.5"), ("1.", "1"), ("100n", "1e-7"), ("16Gi", "17179869184"), ("5e-1", "0.5"),
    ],
)  # fmt: skip
def test_value_is_exact_when_parsed(text, value):
    assert parse_quantity(text) == Decimal(value)


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "1 Gi", "1GB", "Gi", ".", "1e", "1e+", "1Kii", "0x1", "1\n", "9" * 40]
)
def test_text_is_refused_when_it_is_no_quantity(text):
    assert not is_quantity(text)
    with pytest.raises(ValueError, match="such as 500m, 2 or 16Gi"):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("1000m", "1"), ("0.5", "500m"), ("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"), ("1000", "1k"), ("1500", "1500"),
        ("2e3", "2k"), ("0", "0"), ("0Gi", "0"), ("1n", "1m"), ("0.5Ki", "512"), (4, "4"), ("1000Ki", "1000Ki"),
    ],
)  # fmt: skip
def test_form_is_that_of_the_api_server_when_made_canonical(text, canonical):
    assert canonical_quantity(text) == canonical
