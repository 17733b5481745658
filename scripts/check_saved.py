"""Saves the checkpoints of tests/fixtures/models and the demo's with this library, and opens them with Transformers.

    python scripts/check_saved.py            (torch 2.15.0, transformers 5.23.0)

Fails on any warning of Transformers that the checkpoint itself did not give, on missing or unexpected keys, on weights
or a config that are not those of the checkpoint, and on a processor that gives other inputs.
"""

import json
import logging
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import torch
import transformers
from PIL import Image
from transformers import AutoProcessor, GenerationConfig, LlavaForConditionalGeneration

ROOT = Path(__file__).parents[1]
CHECKPOINTS = [
    path.parent for path in sorted((ROOT / "tests/fixtures/models").glob("*/config.json"))
] + [ROOT / "checkpoints/llava-demo"]


class Heard(logging.Handler):
    """Keeps what is said from `warning` on."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.messages = []

    def emit(self, record):
        self.messages.append(record.getMessage())


def load(folder, heard):
    """The model, with what Transformers said while it was read."""
    heard.messages.clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model, info = LlavaForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    said = [*heard.messages, *(str(warning.message) for warning in caught)]
    said += [f"{kind}: {keys}" for kind, keys in info.items() if keys]
    return model.eval(), said


def check(before, after, heard):
    faults = []
    old, _ = load(before, heard)
    new, said = load(after, heard)
    faults += said
    state = new.state_dict()
    for key, value in old.state_dict().items():
        if value.dtype != state[key].dtype or not torch.equal(value, state[key]):
            faults.append(f"{key} differs")
    if json.loads(old.config.to_json_string()) != json.loads(new.config.to_json_string()):
        faults.append("the config differs")
    if (before / "generation_config.json").exists():
        settings = [GenerationConfig.from_pretrained(folder).to_dict() for folder in (before, after)]
        for one in settings:
            one.pop("transformers_version")
        if settings[0] != settings[1]:
            faults.append("the generation config differs")
    if (after / "tokenizer.json").exists():
        heard.messages.clear()
        image = Image.radial_gradient("L").convert("RGB").resize((150, 90))
        inputs = [
            AutoProcessor.from_pretrained(folder)(images=image, text="USER: <image>\nWhat?", return_tensors="pt")
            for folder in (after, before)
        ]
        faults += heard.messages
        for key, value in inputs[1].items():
            if not torch.equal(value, inputs[0][key]):
                faults.append(f"the processor's {key} differ")
    return faults


heard = Heard()
transformers.logging.disable_progress_bar()
logging.getLogger("transformers").addHandler(heard)
failed = False
with tempfile.TemporaryDirectory() as out:
    command = ["node", "--import", "./scripts/typescript.mjs", "scripts/save_all.ts", out, *map(str, CHECKPOINTS)]
    subprocess.run(command, cwd=ROOT, check=True)
    for checkpoint in CHECKPOINTS:
        faults = check(checkpoint, Path(out) / checkpoint.name, heard)
        failed = failed or bool(faults)
        print(checkpoint.name, "; ".join(faults) or "ok")
sys.exit(failed)
