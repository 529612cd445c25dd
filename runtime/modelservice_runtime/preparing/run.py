"""Prepares a model from beginning to end."""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from modelservice_runtime.engine.resources import read_resources
from modelservice_runtime.preparing.companions import REPORT, copy_companions, write_card, write_config
from modelservice_runtime.preparing.options import PrepareOptions
from modelservice_runtime.preparing.plan import Plan, plan_preparation, require_memory, require_room
from modelservice_runtime.preparing.report import Report, Side
from modelservice_runtime.preparing.target import check_target, filling, scratch_folder
from modelservice_runtime.sources.address import has_scheme
from modelservice_runtime.sources.inspect import inspect_folder

if TYPE_CHECKING:
    from modelservice_runtime.preparing.comparison import Comparison

log = logging.getLogger(__name__)

AS_IT_WAS = "weights as they were"


def prepare_model(options: PrepareOptions) -> Report:
    """Check, write, compare, and give the folder its place when all is done. Raises RuntimeFault."""
    source = _bring(options)
    check_target(options.target, source)
    plan = plan_preparation(source, options)
    require_room(plan, options.target)
    require_memory(plan, options, read_resources().memory_bytes)
    with filling(options.target) as stage:
        report = _fill(stage, plan, options)
        (stage / REPORT).write_text(json.dumps(report.to_json(), indent=2) + "\n", encoding="utf-8")
    return report


def _bring(options: PrepareOptions) -> Path:
    """Return the source's folder; a model behind an address is fetched into the cache, where `serve` has it too."""
    if not has_scheme(options.source):
        return Path(options.source)
    from modelservice_runtime.sources.fetch import FetchRequest, cache_folder, fetch_model  # noqa: PLC0415

    folder = cache_folder(options.source, options.revision)
    fetch_model(FetchRequest(options.source, folder, revision=options.revision))
    return folder


def _fill(stage: Path, plan: Plan, options: PrepareOptions) -> Report:
    from modelservice_runtime.preparing.choosing import choose_edits  # noqa: PLC0415 - imports torch
    from modelservice_runtime.preparing.edits import apply_edits  # noqa: PLC0415
    from modelservice_runtime.preparing.weights import read_weights, write_weights  # noqa: PLC0415

    changes = []
    source = plan.folder
    if plan.pickles:
        source = _convert(stage, plan, options)
        changes.append(f"{', '.join(path.name for path in plan.pickles[:3])} converted to safetensors")
    edits = choose_edits(source, options)
    changes += [edit.summary for edit in edits]
    config = dict(plan.config)
    for edit in edits:
        edit.configure(config)
    before = inspect_folder(source)
    write_weights(apply_edits(edits, read_weights(source)), stage, options.shard_bytes, before.size_bytes or 0)
    write_config(config, stage)
    copy_companions(plan.folder, stage)
    write_card(stage, options.source, changes or [AS_IT_WAS])
    after = inspect_folder(stage)
    comparison = _compare(source, stage, options)
    return Report(
        options.source,
        str(options.target),
        changes or [AS_IT_WAS],
        Side(plan.weight_bytes, before.parameters or 0, before.dtype or ""),
        Side(after.size_bytes or 0, after.parameters or 0, after.dtype or ""),
        comparison,
    )


def _convert(stage: Path, plan: Plan, options: PrepareOptions) -> Path:
    """Return a folder with the pickled weights as safetensors, and with all that the model needs beside them."""
    from modelservice_runtime.preparing.conversion import convert_pickles  # noqa: PLC0415

    folder = scratch_folder(stage)
    log.info("converting pickled weights", extra={"files": len(plan.pickles), "bytes": plan.weight_bytes})
    convert_pickles(plan.pickles, folder, options.shard_bytes, tied=plan.config.get("tie_word_embeddings") is True)
    write_config(plan.config, folder)
    copy_companions(plan.folder, folder)
    return folder


def _compare(before: Path, after: Path, options: PrepareOptions) -> "Comparison | None":
    if not options.rounds:
        return None
    from modelservice_runtime.preparing.comparison import compare  # noqa: PLC0415 - imports transformers

    return compare(before, after, options.samples, options.rounds)
