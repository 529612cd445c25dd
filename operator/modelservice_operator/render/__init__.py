"""From values to manifests: Jinja2 templates, one for each kind of child. Pure."""

from .engine import Renderer
from .errors import TemplateError

__all__ = ["Renderer", "TemplateError"]
