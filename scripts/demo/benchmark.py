"""Held-out pictures of the little world as a benchmark for `llava eval`, and what Transformers answers to it.

    python benchmark.py make --cache sprites-large.npz --out world --pictures 150
    llava eval run demo --questions world/questions.jsonl --images world/images --answers world/answers.jsonl --preset hf
    llava eval score demo --answers world/answers.jsonl --annotations world/labels.jsonl

`python benchmark.py answer --out world --checkpoint checkpoint` writes world/transformers.jsonl: the answers of Transformers
(greedy, float32) in the same form; `python benchmark.py score --out world` counts those.

No picture of it was used in training: the seeds are others.  Three sets: scenes in the drawing styles of the training, and in
two styles that were held out of it.
"""
import argparse, json, os
import numpy as np
import data as D
from evaluate import REPORT, Answerer, pictures
from sprites import HELD_OUT_STYLES, TRAIN_STYLES

SETS = {"known styles": TRAIN_STYLES, **{s: [s] for s in HELD_OUT_STYLES}}
TURNS = {"describe": "long description", "short": "short description"}


def kind_of(kind, things):
    """What the table calls a question."""
    if kind not in TURNS: return REPORT[kind]
    return f"{TURNS[kind]}, {'one to three' if things <= 3 else 'four or five'} things"


def make(a):
    os.makedirs(a.out + "/images", exist_ok=True)
    questions, labels = [], []
    for number, (label, styles) in enumerate(SETS.items()):
        seed = a.seed + 100 * number
        rng = np.random.default_rng(seed + 1)
        for k, (image, scene) in enumerate(pictures(a.cache, styles, a.pictures, seed)):
            file = f"{label.split()[0]}-{k:04d}.jpg"
            image.save(f"{a.out}/images/{file}", "JPEG", quality=92)
            for kind, ask, _ in D.KINDS:
                if kind in ("time", "other") and k % 4: continue
                pair = ask(rng, scene)
                if pair is None: continue
                name = f"{file[:-4]}/{kind}"
                questions.append(dict(question_id=name, image=file, text=pair[0]))
                labels.append(dict(question_id=name, set=label, kind=kind_of(kind, len(scene["things"])), answer=pair[1]))
    for name, rows in (("questions", questions), ("labels", labels)):
        with open(f"{a.out}/{name}.jsonl", "w") as f: f.writelines(json.dumps(row) + "\n" for row in rows)
    print(len(questions), "questions about", a.pictures * len(SETS), "pictures")


def rows_of(path): return [json.loads(line) for line in open(path)]


def answer(a):
    from PIL import Image
    import torch
    torch.set_num_threads(a.threads)
    model, rows = Answerer(a.checkpoint), rows_of(a.out + "/questions.jsonl")
    images = {file: Image.open(f"{a.out}/images/{file}").convert("RGB") for file in sorted({row["image"] for row in rows})}
    got = model.ask_all([(model.prompt([row["text"]]), [images[row["image"]]]) for row in rows])
    with open(a.out + "/transformers.jsonl", "w") as f:
        f.writelines(json.dumps(dict(question_id=row["question_id"], text=text)) + "\n" for row, text in zip(rows, got))


def score(a):
    got = {row["question_id"]: row["text"] for row in rows_of(a.answers or a.out + "/transformers.jsonl")}
    table = {}
    for row in rows_of(a.out + "/labels.jsonl"):
        right, total = table.setdefault(row["kind"], {}).get(row["set"], (0, 0))
        table[row["kind"]][row["set"]] = right + (got.get(row["question_id"]) == row["answer"]), total + 1
    print(json.dumps({kind: {label: dict(right=r, total=n) for label, (r, n) in cells.items()} for kind, cells in table.items()}, indent=1))


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("command", choices=["make", "answer", "score"])
    ap.add_argument("--cache", default="sprites-large.npz")
    ap.add_argument("--out", default="world")
    ap.add_argument("--pictures", type=int, default=150, help="pictures of each set")
    ap.add_argument("--seed", type=int, default=40_000)
    ap.add_argument("--checkpoint", default="../../checkpoints/llava-demo")
    ap.add_argument("--answers", help="score these instead of Transformers'")
    ap.add_argument("--threads", type=int, default=2)
    x = ap.parse_args()
    dict(make=make, answer=answer, score=score)[x.command](x)
