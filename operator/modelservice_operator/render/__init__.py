"""From values to manifests: Jinja2 templates, one for each kind of child. Pure."""

from .engine import Renderer, stamp
from .errors import TemplateError

__all__ = ["Renderer", "TemplateError", "stamp"]
