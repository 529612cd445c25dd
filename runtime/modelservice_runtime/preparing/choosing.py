"""Chooses the edits that were asked for; what is pruned is found by measuring the source on samples."""

import logging
from typing import Any

from modelservice_runtime.errors import BadSettings
from modelservice_runtime.models.folder import ModelFolder, open_folder
from modelservice_runtime.preparing.edits import Cast, Edit
from modelservice_runtime.preparing.options import KEEP, PrepareOptions
from modelservice_runtime.preparing.pruning import DropLayers, PruneHeads, per_layer_lists
from modelservice_runtime.preparing.structure import check_head_count, require_heads, require_layers

log = logging.getLogger(__name__)


def choose_edits(source: Any, options: PrepareOptions) -> list[Edit]:
    """Return the edits in the order of their use: heads by the source's numbers of layers, then layers, then types.

    Raises UnusableModel or BadSettings when the model cannot be pruned so.
    """
    folder = open_folder(source)
    edits: list[Edit] = []
    if options.prune_heads:
        edits.append(_prune_heads(folder, options))
    if options.prune_layers or options.drop_layers:
        edits.append(_drop_layers(folder, options))
    if options.dtype != KEEP:
        edits.append(Cast(options.dtype))
    return edits


def _prune_heads(folder: ModelFolder, options: PrepareOptions) -> PruneHeads:
    from modelservice_runtime.preparing.importance import (  # noqa: PLC0415 - imports transformers
        least,
        measure_heads,
        open_judged,
    )

    heads, count = require_heads(folder.config), require_layers(folder.config)
    check_head_count(heads, int(folder.config["hidden_size"]), options.prune_heads)
    log.info("measuring the importance of heads")
    importance = measure_heads(open_judged(folder, options.samples), count, heads)
    return PruneHeads(heads, [least(layer, options.prune_heads // heads.shared) for layer in importance])


def _drop_layers(folder: ModelFolder, options: PrepareOptions) -> DropLayers:
    from transformers import AutoConfig  # noqa: PLC0415

    count = require_layers(folder.config)
    flag = "--prune-layers" if options.prune_layers else "--drop-layers"
    beyond = [layer for layer in options.drop_layers if layer >= count]
    if beyond or max(options.prune_layers, len(options.drop_layers)) >= count:
        raise BadSettings(f"{flag}: the model has {count} layers, 0 to {count - 1}", hint="leave at least one of them")
    dropped = options.drop_layers or _least_influential(folder, options, count)
    config = AutoConfig.from_pretrained(folder.path, local_files_only=True)
    return DropLayers(count, dropped, per_layer_lists(config, count))


def _least_influential(folder: ModelFolder, options: PrepareOptions, count: int) -> tuple[int, ...]:
    from modelservice_runtime.preparing.importance import (  # noqa: PLC0415 - imports transformers
        least,
        measure_layers,
        open_judged,
    )

    log.info("measuring the influence of layers")
    influence = measure_layers(open_judged(folder, options.samples), count)
    log.info("influence of layers", extra={"influence": [round(each, 4) for each in influence]})
    return least(influence, options.prune_layers)
