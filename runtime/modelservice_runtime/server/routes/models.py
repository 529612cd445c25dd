"""`/v1/models`: what this server serves."""

from fastapi import APIRouter

from modelservice_runtime.protocols.instances import example_of
from modelservice_runtime.protocols.openai_models import ModelCard, ModelList
from modelservice_runtime.server.errors import ApiError
from modelservice_runtime.server.lifecycle import State
from modelservice_runtime.server.service import Service


def model_routes(service: Service) -> APIRouter:
    """Return the endpoints that list models; they answer while the model still loads."""
    router = APIRouter(tags=["models"])

    settings = service.settings
    served = settings.served_name

    def card(name: str) -> ModelCard:
        info, task = service.info, service.task
        return ModelCard(
            id=name,
            root=served if name in settings.aliases else None,
            parent=served if name in settings.adapters else None,
            created=service.started_at,
            task=info.name if info else settings.model.task,
            max_model_len=task.facts.context if task else None,
            endpoint=info.endpoint if info else None,
            reads=info.reads if info else None,
            gives=info.gives if info else None,
            example=example_of(info.reads) if info else None,
            explains=service.explained is not None,
            ready=service.lifecycle.state is State.READY,
        )

    @router.get("/v1/models")
    async def list_models() -> ModelList:
        """List the served model, its further names and its adapters."""
        return ModelList(data=[card(name) for name in (served, *settings.aliases, *settings.adapters)])

    @router.get("/v1/models/{name:path}")
    async def get_model(name: str) -> ModelCard:
        """Describe the served model or one of its adapters."""
        if not service.serves(name):
            raise ApiError(
                404, f"there is no such model here; this server serves {served!r}",
                code="model_not_found", param="model",
            )  # fmt: skip
        return card(name)

    return router
