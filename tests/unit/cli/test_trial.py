"""Where `kubectl modelservice try` finds the server in a pod."""

from typing import Any

from modelservice_operator.api.contract import INFERENCE_PORT
from modelservice_operator.cli.trial import inference_port


def pod(*containers: list[dict[str, Any]]) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": f"c{index}", "ports": ports} for index, ports in enumerate(containers)]}}


def test_port_is_the_one_named_http_of_whichever_container() -> None:
    pods = pod([{"name": "metrics", "containerPort": 9000}], [{"name": "http", "containerPort": 8000}])
    assert inference_port(pods) == 8000


def test_port_is_the_runtimes_where_none_is_named() -> None:
    assert inference_port(pod([{"containerPort": 8000}])) == INFERENCE_PORT
    assert inference_port({"spec": {"containers": [{"name": "server"}]}}) == INFERENCE_PORT
