"""Accelerators, resources and tolerations, merged from defaults, profile and spec."""

from typing import Any

import pytest

from modelservice_operator.api.v1alpha1.fields import Resources
from modelservice_operator.domain.placement import merge_resources, place
from tests.support.builders import make_gpu_profile, make_modelservice, make_profile

TAINT = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


def test_nothing_is_asked_of_a_node_when_there_is_no_accelerator() -> None:
    placement = place(make_modelservice().build(), None)
    assert placement.count == 0
    assert placement.tolerations == ()
    assert "limits" not in placement.resources


def test_accelerator_comes_from_the_profile_when_the_spec_has_none() -> None:
    placement = place(make_modelservice().build(), make_gpu_profile())
    assert placement.resources["limits"] == {"nvidia.com/gpu": "1"}
    assert placement.tolerations == (TAINT,)


def test_spec_runs_on_the_cpu_when_it_says_so_whatever_the_profile() -> None:
    placement = place(make_modelservice().with_gpu(0).build(), make_gpu_profile(simulated=True))
    assert placement.count == 0
    assert placement.simulated is False
    assert placement.tolerations == ()


def test_accelerators_are_simulated_when_the_profile_says_so_alone() -> None:
    assert place(make_modelservice().build(), make_gpu_profile(simulated=True)).simulated
    assert not place(make_modelservice().with_gpu().build(), None).simulated


CLAIMS = {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}]}


def test_claims_take_the_place_of_the_profiles_accelerator() -> None:
    placement = place(make_modelservice().with_spec(scheduling=CLAIMS).build(), make_gpu_profile(simulated=True))
    assert placement.claims == tuple(CLAIMS["resourceClaims"])
    assert placement.resources["claims"] == [{"name": "gpu"}]
    assert "limits" not in placement.resources
    assert (placement.count, placement.resource, placement.simulated) == (1, "resourceClaims gpu", True)


def test_claims_come_beside_an_accelerator_that_the_spec_asks_for() -> None:
    placement = place(make_modelservice().with_gpu(2).with_spec(scheduling=CLAIMS).build(), None)
    assert placement.resources["claims"] == [{"name": "gpu"}]
    assert placement.resources["limits"] == {"nvidia.com/gpu": "2"}
    assert (placement.count, placement.resource) == (2, "nvidia.com/gpu")


def test_server_computes_on_the_cpu_when_the_claims_are_no_accelerators() -> None:
    placement = place(make_modelservice().with_gpu(0).with_spec(scheduling=CLAIMS).build(), make_gpu_profile())
    assert placement.count == 0
    assert placement.resources["claims"] == [{"name": "gpu"}]
    assert "limits" not in placement.resources


def test_product_becomes_a_node_selector_on_the_profiles_label() -> None:
    accelerator = {"resource": "amd.com/gpu", "count": 1, "productLabel": "example.com/card"}
    service = make_modelservice().with_gpu(product="MI300X").build()
    assert place(service, make_profile(accelerator=accelerator)).node_selector == {"example.com/card": "MI300X"}
    assert place(service, None).node_selector == {"nvidia.com/gpu.product": "MI300X"}


def test_slices_tolerate_the_taint_of_whole_devices_too() -> None:
    service = make_modelservice().with_gpu(resource="nvidia.com/mig-1g.5gb").build()
    assert [entry["key"] for entry in place(service, None).tolerations] == ["nvidia.com/mig-1g.5gb", "nvidia.com/gpu"]


def test_no_toleration_is_added_when_the_user_tolerates_everything() -> None:
    service = make_modelservice().with_gpu().with_spec(scheduling={"tolerations": [{"operator": "Exists"}]})
    assert place(service.build(), None).tolerations == ({"operator": "Exists"},)


def _resources(requests: dict[str, Any] | None = None, limits: dict[str, Any] | None = None) -> Resources:
    return Resources(requests=requests or {}, limits=limits or {})


@pytest.mark.parametrize(
    ("layers", "memory"),
    [
        ([], ("1Gi", None)),
        ([_resources(limits={"memory": "512Mi"})], ("512Mi", "512Mi")),
        ([_resources(limits={"memory": "4Gi"})], ("1Gi", "4Gi")),
        ([_resources({"memory": "2Gi"}, {"memory": "2Gi"}), _resources({"memory": "8Gi"})], ("8Gi", "8Gi")),
        ([_resources({"memory": "8Gi"}), _resources(limits={"memory": "6Gi"})], ("6Gi", "6Gi")),
        ([_resources({"memory": 2048}, {"memory": "1k"})], ("2048", "1k")),
    ],
)
def test_request_stays_within_the_limit_when_layers_disagree(
    layers: list[Resources], memory: tuple[str, str | None]
) -> None:
    merged = merge_resources({"memory": "1Gi"}, *layers)
    assert (merged["requests"]["memory"], merged.get("limits", {}).get("memory")) == memory
