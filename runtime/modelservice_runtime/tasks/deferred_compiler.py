"""Torch's compiler and its distributed tensors, loaded when something uses them and not before.

Importing transformers' models imports both: it marks a few functions as not to be compiled, and annotates others with
the tensors of a group of processes. Together they are hundreds of modules and a sixth of the work until a model is
ready, which a server that neither compiles nor runs as several processes never uses.
"""

import logging
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any, TypeVar

from modelservice_runtime.config import Settings
from modelservice_runtime.models.folder import ModelFolder

logger = logging.getLogger(__name__)

Function = TypeVar("Function", bound=Callable[..., Any])

COMPILER = "torch._dynamo"
NEEDED_PART = f"{COMPILER}._trace_wrapped_higher_order_op"
"""What transformers imports to build masks. It needs nothing else of the compiler."""
TENSORS = "torch.distributed.tensor"


def may_defer(folder: ModelFolder, settings: Settings) -> bool:
    """Tell whether nothing compiles: not this runtime, not another way to batch, no kernels of quantized weights."""
    engine, model = settings.engine, settings.model
    plain = engine.backend == "slots" and engine.quantization == "none" and not folder.quantization
    return plain and not engine.compile and not model.trust_remote_code


def defer_compiler() -> None:
    """Import torch, put modules that load themselves in the place of these, and tell torch that it runs as one process.

    Does nothing where the compiler or transformers was imported before.
    """
    if "transformers" in sys.modules:
        return
    torch: Any = import_module("torch")
    marks = {"assume_constant_result": _as_it_is, "allow_in_graph": _as_it_is, "disable": _leave_uncompiled}
    if not _defer(COMPILER, marks, NEEDED_PART):
        return
    torch.compiler.disable = _leave_uncompiled
    torch.distributed.is_available = _never
    _defer(TENSORS, {"DTensor": type("DTensor", (torch.Tensor,), {})})


def _defer(name: str, given: Mapping[str, Any], *parts: str) -> bool:
    """Put a module in place that has what is given and loads itself for anything else, and import these parts of it.

    False, and nothing happens, where there is no such module or it is loaded.
    """
    if name in sys.modules:
        return False
    spec = find_spec(name)
    if spec is None or spec.loader is None:
        return False
    module = module_from_spec(spec)
    module.__class__ = _Deferred
    vars(module).update(given)
    sys.modules[name] = module
    parent, _, attribute = name.rpartition(".")
    setattr(sys.modules[parent], attribute, module)
    for part in parts:
        import_module(part)
    del module.__path__  # whoever imports another part asks for it, and so loads the module first
    return True


class _Deferred(ModuleType):
    """A module that runs its own code when a name or a part of it is asked for that it does not have yet."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # Python itself looks for these in every module
            raise AttributeError(name)
        spec = self.__spec__
        self.__class__ = ModuleType  # type: ignore[assignment]  # typing thinks of one fixed class
        self.__path__ = list((spec and spec.submodule_search_locations) or ())
        logger.info("a part of torch is loaded after all", extra={"part": self.__name__, "wanted": name})
        spec.loader.exec_module(self)  # type: ignore[union-attr]  # `_defer` makes none without a loader
        return getattr(self, name)


def _as_it_is(function: Function) -> Function:
    return function


def _leave_uncompiled(function: Any = None, *_: object, **__: object) -> Any:
    return _as_it_is if function is None else function


def _never() -> bool:
    return False
