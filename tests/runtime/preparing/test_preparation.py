"""`optimize` refuses before it writes, never runs a pickle, and leaves a whole folder or none."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from modelservice_runtime.engine.resources import Resources
from modelservice_runtime.errors import BadSettings, DiskFull, RuntimeFault, UnusableModel
from modelservice_runtime.preparing import run
from modelservice_runtime.preparing.options import PrepareOptions, parse_size
from modelservice_runtime.preparing.run import prepare_model
from modelservice_runtime.preparing.target import KEY, filling
from modelservice_runtime.sources.inspect import inspect_folder, weight_files
from modelservice_runtime.sources.staging import open_stage
from tests.runtime.cli.test_commands import Runtime
from tests.runtime.sources.folders import ModelFolder, make_model
from tests.runtime.support.tiny_models import make_decoder
from tests.support.hub import Hub

pytestmark = pytest.mark.torch


class Hostile:
    """What a stranger's pickle may hold: an order to run a program."""

    def __init__(self, traces: Path) -> None:
        self._traces = traces

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self._traces}",)


@pytest.fixture
def decoder(tmp_path: Path) -> Path:
    return make_decoder(tmp_path / "decoder")


def prepare(source: Path | str, target: Path, **options: Any) -> Any:
    return prepare_model(PrepareOptions(str(source), target, rounds=0, **options))


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for path in weight_files(folder) for name, tensor in load_file(path).items()}


def to_pickle(folder: Path) -> Path:
    """Turn a folder's weights into a pickle, the head tied to the embedding as torch saves it."""
    tensors = weights_of(folder)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": True}))
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    return folder


def is_untouched(target: Path) -> bool:
    return not target.exists() or not any(target.iterdir())


def test_cast_and_sharded_model_is_the_source_rounded(decoder: Path, tmp_path: Path) -> None:
    report = prepare(decoder, tmp_path / "made", dtype="bfloat16", shard_bytes=parse_size("64KB"))
    source, made = weights_of(decoder), weights_of(tmp_path / "made")
    assert source.keys() == made.keys()
    assert all(torch.equal(made[name], tensor.to(torch.bfloat16)) for name, tensor in source.items())
    files = weight_files(tmp_path / "made")
    assert len(files) > 2
    assert all(path.stat().st_size < 80_000 and path.stat().st_mode & 0o044 for path in files)
    with safe_open(files[0], "pt") as file:
        assert file.metadata() == {"format": "pt"}
    assert json.loads((tmp_path / "made/config.json").read_text())["dtype"] == "bfloat16"
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "made").dtype == torch.bfloat16
    assert (report.after.dtype, report.after.parameters) == ("bfloat16", report.before.parameters)
    assert report.after.weight_bytes < 0.6 * report.before.weight_bytes


def test_companions_come_and_code_and_pickles_stay(decoder: Path, tmp_path: Path) -> None:
    card, pooling = "# A model\n", "1_Pooling/config.json"
    folder = ModelFolder(decoder).with_file("README.md", card).with_file(pooling).with_file("LICENSE", "free")
    folder.with_file("generation_config.json").with_file("chat_template.jinja", "x").with_file(
        "preprocessor_config.json"
    )
    folder.with_file("modeling.py", "raise SystemExit").with_file("optimizer.pt", b"\x80").with_file("training.bin")
    folder.with_file(".cache/notes.json").with_file("model.onnx").with_file("events.out")
    prepare(decoder, tmp_path / "made", dtype="float16")
    names = {
        path.relative_to(tmp_path / "made").as_posix() for path in (tmp_path / "made").rglob("*") if path.is_file()
    }
    assert names == {
        "LICENSE", "README.md", "chat_template.jinja", "config.json", "generation_config.json", "model.safetensors",
        "optimization.json", pooling, "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    text = (tmp_path / "made/README.md").read_text()
    assert text.startswith(card)
    assert "weights cast to float16" in text


def test_values_beyond_a_dtype_are_refused_by_name(decoder: Path, tmp_path: Path) -> None:
    tensors = weights_of(decoder)
    tensors["model.norm.weight"][3] = 1e6
    save_file(tensors, decoder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadSettings, match=r"--dtype float16: model\.norm\.weight holds values up to 1e\+06"):
        prepare(decoder, tmp_path / "made", dtype="float16")
    assert is_untouched(tmp_path / "made")


def test_pickled_checkpoint_is_converted_when_asked(decoder: Path, tmp_path: Path) -> None:
    source = weights_of(decoder)
    to_pickle(decoder)
    with pytest.raises(UnusableModel, match="may run code") as refusal:
        prepare(decoder, tmp_path / "made")
    assert "--convert-pickle" in refusal.value.hint
    report = prepare(decoder, tmp_path / "made", convert_pickle=True)
    made = weights_of(tmp_path / "made")
    assert made.keys() == source.keys() - {"lm_head.weight"}
    assert all(torch.equal(tensor, source[name]) for name, tensor in made.items())
    assert report.changes == ["pytorch_model.bin converted to safetensors"]
    assert not list((tmp_path / "made").rglob("*.bin"))


def test_sharded_pickle_is_read_by_its_index(decoder: Path, tmp_path: Path) -> None:
    source = weights_of(decoder)
    (decoder / "model.safetensors").unlink()
    names = ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"]
    places = {name: names[index % 2] for index, name in enumerate(source)}
    for file in names:
        torch.save({name: source[name] for name, place in places.items() if place == file}, decoder / file)
    (decoder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": places}))
    prepare(decoder, tmp_path / "made", convert_pickle=True)
    assert weights_of(tmp_path / "made").keys() == source.keys()
    (decoder / names[1]).unlink()
    with pytest.raises(UnusableModel, match="lacks 1 of 2"):
        prepare(decoder, tmp_path / "again", convert_pickle=True)


def test_malicious_pickle_does_not_run(decoder: Path, tmp_path: Path) -> None:
    traces = tmp_path / "traces"
    (decoder / "model.safetensors").unlink()
    torch.save({"weight": torch.ones(2), "more": Hostile(traces)}, decoder / "pytorch_model.bin")
    with pytest.raises(UnusableModel, match="it holds more than weights"):
        prepare(decoder, tmp_path / "made", convert_pickle=True)
    assert not traces.exists()
    assert is_untouched(tmp_path / "made")


class Damage(NamedTuple):
    spoil: Callable[[Path], None]
    words: str


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def _config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


DAMAGES = {
    "a truncated file": Damage(lambda folder: _cut(folder / "model.safetensors"), "is damaged"),
    "a truncated pickle": Damage(lambda folder: _cut(to_pickle(folder) / "pytorch_model.bin"), "damaged or no"),
    "no weights": Damage(lambda folder: (folder / "model.safetensors").unlink(), "no safetensors weights"),
    "code of its own": Damage(lambda folder: _config(folder, auto_map={"AutoModel": "m.M"}), "Python code"),
    "integers": Damage(lambda folder: _config(folder, quantization_config={"quant_method": "gptq"}), "'gptq'"),
    "an unfinished download": Damage(lambda folder: (folder / ".partial").mkdir(), "unfinished"),
    "a pipeline": Damage(lambda folder: (folder / "model_index.json").write_text("{}"), "pipeline of diffusers"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_source_is_refused_before_anything_is_written(decoder: Path, tmp_path: Path, damage: Damage) -> None:
    damage.spoil(decoder)
    with pytest.raises(UnusableModel, match=damage.words):
        prepare(decoder, tmp_path / "made", convert_pickle=True)
    assert is_untouched(tmp_path / "made")


@pytest.mark.parametrize("place", ["full", "inside", "file"])
def test_target_is_refused_when_it_holds_something(decoder: Path, tmp_path: Path, place: str) -> None:
    target = {"full": tmp_path / "full", "inside": decoder / "made", "file": tmp_path / "file"}[place]
    (tmp_path / "file").write_text("")
    ModelFolder(tmp_path / "full").with_file("precious")
    with pytest.raises(BadSettings, match="DST"):
        prepare(decoder, target)
    assert (tmp_path / "full/precious").exists()
    assert not (decoder / "made").exists()


def test_space_is_checked_before_anything_is_written(
    decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: _Usage(1 << 40, 0, 34_000_000))
    with pytest.raises(DiskFull, match="free"):
        prepare(decoder, tmp_path / "made")
    assert not (tmp_path / "made").exists()
    prepare(decoder, tmp_path / "made", dtype="bfloat16")


def test_memory_is_checked_before_anything_is_written(
    decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "read_resources", lambda: Resources(cpus=1, memory_bytes=500 << 20))
    with pytest.raises(BadSettings, match=r"--rounds 3: .* 0\.6 GB .* may use 0\.5 GB") as refusal:
        prepare_model(PrepareOptions(str(decoder), tmp_path / "made"))
    assert "--rounds 0" in refusal.value.hint
    assert not (tmp_path / "made").exists()
    prepare(decoder, tmp_path / "made")


class _Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_nothing_is_left_when_writing_fails(decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run, "copy_companions", run_full)
    mounted = tmp_path / "mounted"
    (mounted / "lost+found").mkdir(parents=True)
    for target in (mounted, tmp_path / "made"):
        with pytest.raises(DiskFull, match="ran full"):
            prepare(decoder, target)
    assert [path.name for path in mounted.iterdir()] == ["lost+found"]
    assert not (tmp_path / "made").exists()


def test_half_written_folder_is_not_served_and_the_next_run_begins_anew(decoder: Path, tmp_path: Path) -> None:
    stage = open_stage(tmp_path / "made", KEY)
    (stage / "model.safetensors").write_bytes(b"half")
    (tmp_path / "made/config.json").write_text("{}")
    with pytest.raises(UnusableModel, match="unfinished"):
        inspect_folder(tmp_path / "made")
    prepare(decoder, tmp_path / "made")
    assert weights_of(tmp_path / "made").keys() == weights_of(decoder).keys()


def test_folder_appears_whole_when_the_block_ends(tmp_path: Path) -> None:
    with filling(tmp_path / "made") as stage:
        (stage / "sub").mkdir()
        (stage / "sub/file").write_text("x")
        assert [path.name for path in (tmp_path / "made").iterdir()] == [".partial"]
    assert [path.name for path in (tmp_path / "made").rglob("*")] == ["sub", "file"]


def test_command_prints_the_report_and_ends_like_the_others(decoder: Path, tmp_path: Path) -> None:
    runtime = Runtime(tmp_path)
    target = str(tmp_path / "made")
    command = runtime.command("optimize", str(decoder), target, "--dtype", "bfloat16", "--rounds", "1", "--json")
    done = subprocess.run(command, env=runtime.env, capture_output=True, text=True, timeout=60, check=True)
    report = json.loads(done.stdout)
    assert report == json.loads((tmp_path / "made/optimization.json").read_text())
    assert report["comparison"]["agreement"]["cosine_mean"] > 0.99
    last = json.loads(done.stderr.splitlines()[-1])
    assert (last["reason"], last["exitCode"]) == ("Completed", 0)
    assert last["message"].startswith(f"optimized {decoder} into {target}: ")
    word = json.loads((tmp_path / "termination-log").read_text())
    assert (word["component"], word["result"]["after"]["dtype"]) == ("optimize", "bfloat16")
    again = runtime.run("optimize", str(decoder), target)
    assert again.code == 64
    assert again.log[-1]["reason"] == "BadSettings"
    assert "not empty" in again.log[-1]["message"]


def test_source_may_be_an_address(tmp_path: Path) -> None:
    make_decoder(tmp_path / "hub/acme/chat")
    runtime = Runtime(tmp_path)
    with Hub(tmp_path / "hub") as hub:
        done = runtime.run("optimize", "hf://acme/chat", str(tmp_path / "made"), "--rounds", "0", HF_ENDPOINT=hub.url)
    assert (done.code, done.log[-1]["reason"]) == (0, "Completed")
    assert inspect_folder(tmp_path / "made").architecture == "LlamaForCausalLM"


def test_nothing_is_left_when_the_process_is_told_to_stop(tmp_path: Path) -> None:
    make_model(tmp_path / "large", parameters=30_000_000)
    runtime = Runtime(tmp_path)
    command = runtime.command("optimize", str(tmp_path / "large"), str(tmp_path / "made"), "--dtype", "float32")
    with subprocess.Popen(command, env=runtime.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not (tmp_path / "made").exists() and process.poll() is None:
            os.sched_yield()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 128 + signal.SIGTERM
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--dtype", "int3"), "--dtype"),
        (("--max-shard-size", "5 apples"), "no size"),
        (("--max-shard-size", "0GB"), "no size"),
        (("--rounds", "-1"), "--rounds"),
    ],
)
def test_flags_are_refused_by_name(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    done = Runtime(tmp_path).run("optimize", str(tmp_path), str(tmp_path / "made"), *arguments)
    assert done.code == 64
    assert words in done.log[-1]["message"]


def test_missing_source_ends_with_its_own_code(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFault) as fault:
        prepare(tmp_path / "none", tmp_path / "made")
    assert (fault.value.exit_code, fault.value.reason) == (66, "ModelNotFound")
