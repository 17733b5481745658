"""Train the demo checkpoint from nothing, on a CPU, over Transformers' own LLaVA classes.

    python train.py --cache sprites.npz --out checkpoint --see-minutes 18 --talk-minutes 60

Stage 1 ("see"): the CLIP vision tower alone learns to tell, for every patch, which thing it shows, in
which colour, and whether it is the middle of a thing - with small throw-away heads on the features that
the language model will read (hidden state -2).  Stage 2 ("talk"): projector, language model and tower
learn together to answer; the loss is on the assistant's words only.  The learning rate follows the clock,
so `--see-minutes`/`--talk-minutes` set the length of each stage.
"""
import argparse, math, os, time
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
import data as D
from checkpoint import IMAGE, PAD, EOS, VOCAB, load_tokenizer, make_tokenizer, model_config, save_checkpoint
from sprites import COLOURS, NAMES

SIZE, PATCH = 112, 14
TOKENS = (SIZE // PATCH) ** 2
MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(1, 3, 1, 1)
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(1, 3, 1, 1)


# Plain matrix-multiply attention: the same result as "eager", quicker for short sequences on a CPU.
_masks = {}
def _causal(s, r, dtype):
    if (s, r, dtype) not in _masks: _masks[s, r, dtype] = torch.full((s, s), float("-inf")).triu(1).repeat(r, 1).to(dtype)
    return _masks[s, r, dtype]


def short_attention(module, q, k, v, mask, scaling=None, dropout=0.0, **kw):
    B, H, S, d = q.shape
    K = k.shape[1]; r = H // K
    q, k, v = q.reshape(B * K, r * S, d), k.reshape(B * K, S, d), v.reshape(B * K, S, d)
    if module.is_causal: s = torch.baddbmm(_causal(S, r, q.dtype), q, k.transpose(1, 2), alpha=scaling)
    else: s = torch.bmm(q * scaling, k.transpose(1, 2))
    return torch.bmm(torch.softmax(s, -1), v).view(B, H, S, d).transpose(1, 2), None


ALL_ATTENTION_FUNCTIONS.register("short", short_attention)


@torch.no_grad()
def look_nearby(tower):
    """A start that lets a small tower learn quickly: positions on a smooth 2-D grid, and attention that
    begins by looking at similar (so mostly neighbouring) patches instead of everywhere alike."""
    h, n = tower.config.hidden_size, SIZE // PATCH
    y, x = torch.meshgrid(torch.arange(n).float(), torch.arange(n).float(), indexing="ij")
    w = 1.0 / 30 ** (torch.arange(h // 4) / (h // 4))
    grid = torch.cat([f(p.flatten()[:, None] * w) for p in (x, y) for f in (torch.sin, torch.cos)], 1)
    tower.embeddings.position_embedding.weight[1:] = .6 * grid
    for layer in tower.encoder.layers:
        a = layer.self_attn
        d = h // a.num_heads
        for k in range(a.num_heads):
            p = torch.linalg.qr(torch.randn(h, d))[0].T
            a.q_proj.weight[k * d:(k + 1) * d] = .9 * p + .02 * torch.randn(d, h)
            a.k_proj.weight[k * d:(k + 1) * d] = .9 * p + .02 * torch.randn(d, h)


class Heads(nn.Module):
    """Stage 1's throw-away heads."""
    def __init__(self, h):
        super().__init__()
        self.cls, self.col, self.mid = nn.Linear(h, len(NAMES) + 1), nn.Linear(h, len(COLOURS)), nn.Linear(h, 1)
        self.bg = nn.ModuleList([nn.Linear(h, 1 + len(D.LANDS)), nn.Linear(h, len(D.BG_COLOURS)), nn.Linear(h, len(D.BG_COLOURS))])
        self.norm = nn.LayerNorm(h)
        self.all = nn.Linear(h, len(NAMES))

    def loss(self, feats, b):
        f = self.norm(feats[:, 1:].float())
        logits = self.cls(f)
        w = torch.ones(len(NAMES) + 1); w[-1] = .4
        cls = F.cross_entropy(logits.flatten(0, 1), b["cls"].flatten(), weight=w)
        col = F.cross_entropy(self.col(f).flatten(0, 1), b["col"].flatten(), ignore_index=-100) if (b["col"] >= 0).any() else 0
        mid = F.binary_cross_entropy_with_logits(self.mid(f)[..., 0], b["mid"], pos_weight=torch.tensor(6.0))
        m = f.mean(1)
        bg = sum(F.cross_entropy(h(m), b["bg"][:, i], ignore_index=-100) for i, h in enumerate(self.bg))
        with torch.no_grad():
            on = b["cls"] < len(NAMES)
            acc = (logits.argmax(-1) == b["cls"])[on].float().mean()
        return cls + .3 * col + .5 * mid + .15 * bg, acc


class Stream(torch.utils.data.IterableDataset):
    """Endless batches of scenes (stage 1), or of scenes with conversations (stage 2)."""
    def __init__(self, cache, batch, seed, tokenizer=None, length=136, pair_every=10, drawn=None):
        self.cache, self.batch, self.seed, self.tok, self.length, self.pair_every, self.drawn = cache, batch, seed, tokenizer, length, pair_every, drawn or {}

    def picture(self, rng):
        while True:
            im, sc, ids = self.world.scene(rng, SIZE * 2 if rng.random() < .1 else SIZE)
            if sc["things"]: break
        if im.shape[0] != SIZE:                                         # as if a larger picture had been scaled down
            im = D.cv2.resize(im, (SIZE, SIZE), interpolation=D.cv2.INTER_AREA); ids = np.ascontiguousarray(ids[::2, ::2])
        return im, sc, D.patch_labels(sc, ids), D.background_label(sc["bg"])

    def tokens(self, segments, images):
        """Token ids and targets of one conversation: [(question, answer)]; what does not fit is left out."""
        text, spans = ("\n" if images else "USER: "), []
        for i, (q, a) in enumerate(segments):
            text += ("USER: " if i else "") + q + " ASSISTANT: "
            spans.append((len(text), len(text) + len(a)))
            text += a + " "
        e = self.tok.encode(text.rstrip(" "), add_special_tokens=False)
        ids = [1]
        for k in range(images): ids += (self.head if k == 0 else self.newline) + [IMAGE] * TOKENS
        n0 = len(ids)
        ids += e.ids
        tgt = [-100] * len(ids)
        cut = len(ids)
        for a0, a1 in spans:
            pos = [n0 + i for i, (s, t) in enumerate(e.offsets) if t > a0 and t <= a1]
            if pos[-1] >= self.length_now:
                cut = min(cut, next(n0 + i for i, (s, t) in enumerate(e.offsets) if t > a0)); break
            for p in pos: tgt[p - 1] = ids[p]
            tgt[pos[-1]] = EOS
        L = self.length_now
        return (ids[:cut] + [PAD] * L)[:L], (tgt[:cut] + [-100] * L)[:L]

    def __iter__(self):
        w = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, w.id if w else 0])
        self.world = D.World(self.cache)
        self.world.pool, self.world.pool_size = [], SIZE
        for name, share in self.drawn.items(): setattr(self.world, name, share)
        if self.tok is not None: self.head = self.tok.encode("USER: ", add_special_tokens=False).ids; self.newline = self.tok.encode("\n", add_special_tokens=False).ids
        k = 0
        while True:
            k += 1
            pics = [self.picture(rng) for _ in range(self.batch)]
            b = dict(px=torch.from_numpy(np.stack([p[0] for p in pics])), cls=torch.from_numpy(np.stack([p[2][0] for p in pics])),
                     col=torch.from_numpy(np.stack([p[2][1] for p in pics])), mid=torch.from_numpy(np.stack([p[2][2] for p in pics])),
                     bg=torch.tensor([p[3] for p in pics]))
            if self.tok is not None:
                rows = []
                if k % self.pair_every == 0:
                    self.length_now = self.length + TOKENS + 8
                    for i in range(0, self.batch, 2):
                        segs = D.pair_conversation(rng, pics[i][1], pics[i + 1][1])
                        rows.append(self.tokens([s[1:] for s in segs], 2))
                    b["has"] = torch.ones(self.batch, dtype=torch.bool)
                else:
                    self.length_now = self.length
                    has = rng.random(self.batch) >= .015
                    for i in range(self.batch):
                        if has[i]: rows.append(self.tokens([s[1:] for s in D.conversation(rng, pics[i][1], 6)], 1))
                        else:
                            segs = []
                            for _ in range(4):
                                r = rng.random()
                                if r < .4: segs.append(D.q_other(rng))
                                elif r < .6: segs.append((D.one_of(rng, *D.HELLO), D.SHOW))
                                else: segs.append((D.conversation(rng, pics[i][1], 1)[0][1], "Please show me a picture."))
                            rows.append(self.tokens(segs, 0))
                    b["has"] = torch.from_numpy(has)
                b["ids"], b["tgt"] = torch.tensor([r[0] for r in rows]), torch.tensor([r[1] for r in rows])
            yield b


class Trainer:
    def __init__(self, a):
        self.a = a
        torch.manual_seed(a.seed)
        self.model = LlavaForConditionalGeneration(LlavaConfig(**{k: v for k, v in model_config().items() if k not in ("architectures", "torch_dtype", "transformers_version")}))
        look_nearby(self.model.model.vision_tower)
        self.heads = Heads(self.model.config.vision_config.hidden_size)
        self.master = {n: p.detach().clone().float() for n, p in self.model.named_parameters()}   # full-precision copy that is stepped
        self.model.to(torch.bfloat16).set_attn_implementation("short")
        self.vt = self.model.model.vision_tower
        print(sum(p.numel() for p in self.model.parameters()), "parameters", flush=True)

    def features(self, px):
        """Hidden state -2 of the tower (the last layer is not needed for it)."""
        h = self.vt.pre_layrnorm(self.vt.embeddings(px))
        for layer in self.vt.encoder.layers[:-1]:
            h = layer(h, None)
            if isinstance(h, tuple): h = h[0]
        return h

    def language(self, embeds):
        return self.model.model.language_model(inputs_embeds=embeds, use_cache=False).last_hidden_state

    def prepare(self, groups):
        """One AdamW over the full-precision copies; `groups` = [(name filter, learning rate)]."""
        pg = []
        self.live = []
        for f, lr in groups:
            names = [n for n in self.master if f(n)]
            for p in names: self.master[p].requires_grad_(True)
            self.live += names
            wd = [self.master[n] for n in names if self.master[n].dim() > 1 and "embed" not in n]
            no = [self.master[n] for n in names if not (self.master[n].dim() > 1 and "embed" not in n)]
            pg += [dict(params=wd, lr=lr, peak=lr, weight_decay=.05), dict(params=no, lr=lr, peak=lr, weight_decay=0)]
        pg.append(dict(params=list(self.heads.parameters()), lr=1e-3, peak=1e-3, weight_decay=.01))
        self.params = dict(self.model.named_parameters())
        for n, p in self.params.items(): p.requires_grad_(n in set(self.live))
        self.opt = torch.optim.AdamW(pg, betas=(.9, .98), eps=1e-8, fused=True)

    def step(self, frac, warm, floor=.02):
        s = min(1, warm) * (floor + (1 - floor) * .5 * (1 + math.cos(math.pi * min(frac, 1))))
        for g in self.opt.param_groups: g["lr"] = g["peak"] * s
        for n in self.live:
            p = self.params[n]
            self.master[n].grad = None if p.grad is None else p.grad.float()
            p.grad = None
        norm = torch.nn.utils.clip_grad_norm_([self.master[n] for n in self.live], 1.0)
        self.opt.step(); self.opt.zero_grad(set_to_none=True)
        with torch.no_grad():
            for n in self.live: self.params[n].copy_(self.master[n])
        return float(norm)

    def save(self, path):
        torch.save(dict(master={n: p.detach() for n, p in self.master.items()}, heads=self.heads.state_dict()), path)

    def load(self, path):
        z = torch.load(path)
        with torch.no_grad():
            for n, p in self.model.named_parameters():
                self.master[n] = z["master"][n].clone(); p.copy_(z["master"][n])
        self.heads.load_state_dict(z["heads"])

    def batches(self, tok=None, batch=None, seed=0):
        ds = Stream(self.a.cache, batch or self.a.batch, self.a.seed * 1000 + seed, tok, self.a.length, drawn=dict(outlines=self.a.outlines, groups=self.a.groups, numbers=self.a.numbers))
        return iter(torch.utils.data.DataLoader(ds, batch_size=None, num_workers=self.a.workers, **(dict(prefetch_factor=6) if self.a.workers else {})))

    def pixels(self, u8): return ((u8.permute(0, 3, 1, 2).float() / 255 - MEAN) / STD).to(torch.bfloat16).contiguous()

    def see(self, minutes):
        self.prepare([(lambda n: "vision_tower" in n, self.a.see_peak)])
        it = self.batches(batch=self.a.see_batch, seed=1 + (7 if self.a.start else 0))
        f = torch.compile(self.features)
        last = self.vt.encoder.layers[-1]
        start, n, k, log = None, 0, 0, []
        while True:
            b = next(it)
            h = f(self.pixels(b["px"]))
            loss, acc = self.heads.loss(h, b)
            if k % 4 == 0:                  # the tower's last layer and class token: which things are in the picture at all
                z = last(h.detach(), None); z = z[0] if isinstance(z, tuple) else z
                z = self.heads.all(self.vt.post_layernorm(z[:, 0]).float())
                y = torch.zeros(len(z), len(NAMES) + 1).scatter_(1, b["cls"], 1)[:, :-1]
                loss = loss + F.binary_cross_entropy_with_logits(z, y, pos_weight=torch.tensor(8.0))
            loss.backward()
            if start is None: start = time.time()
            frac = (time.time() - start) / (60 * minutes)
            self.step(frac, (k + 1) / (100 if self.a.start else 200), .15)
            n += len(h); k += 1; log.append((loss.item(), acc.item()))
            if k % 50 == 0:
                m = np.mean(log[-50:], 0)
                print(f"see {k} images {n} min {frac * minutes:.1f} loss {m[0]:.3f} patch acc {m[1]:.3f} rate {n / (time.time() - start):.0f}/s", flush=True)
            if k % 500 == 0: self.save(self.a.work + "/see.pt")
            if frac >= 1: break
        self.save(self.a.work + "/see.pt")

    def name_patches(self, tok, f, it, steps=300):
        """Before the first word: the projector learns to place each patch where the text model keeps the name of
        the thing that it shows, so that a picture reads like a page of words."""
        emb, head, proj = self.model.get_input_embeddings(), self.model.lm_head, self.model.model.multi_modal_projector
        g = torch.Generator().manual_seed(self.a.seed)
        with torch.no_grad():               # an output row per word that looks like the word's input row
            w = torch.randn(emb.weight.shape, generator=g)
            for n, v in (("model.language_model.embed_tokens.weight", .25 * w), ("lm_head.weight", .02 * w)):
                self.master[n].copy_(v); self.params[n].copy_(v)
        word = [tok.encode(n.split(" of ")[-1], add_special_tokens=False).ids[0] for n in NAMES] + [tok.encode("background", add_special_tokens=False).ids[0]]
        word = torch.tensor(word)
        opt = torch.optim.AdamW(names := [self.master[n] for n in self.live if "projector" in n], lr=2e-3, weight_decay=.01)
        for k in range(steps):
            b = next(it)
            with torch.no_grad(): h = f(self.pixels(b["px"]))[:, 1:]
            z = proj(h).float()
            z = z * torch.rsqrt(z.pow(2).mean(-1, keepdim=True) + 1e-6)
            logits = z @ head.weight.float().T
            wt = torch.full((VOCAB,), 1.0); wt[word[-1]] = .3
            scale = .01 * (z.new_zeros(1) + (proj(h).float().pow(2).mean() - .0625).abs())      # about as long as a word, too
            loss = F.cross_entropy(logits.flatten(0, 1), word[b["cls"]].flatten(), weight=wt) + scale.sum()
            grads = torch.autograd.grad(loss, [self.params[n] for n in self.live if "projector" in n])
            for p, gr in zip(names, grads): p.grad = gr.float()
            for gr in opt.param_groups: gr["lr"] = 2e-3 * (1 - k / steps) * min(1, (k + 1) / 20)
            opt.step(); opt.zero_grad(set_to_none=True)
            with torch.no_grad():
                for n in self.live:
                    if "projector" in n: self.params[n].copy_(self.master[n])
            if k % 50 == 49: print(f"names {k + 1} loss {loss.item():.3f}", flush=True)

    def talk(self, minutes, tok):
        self.prepare([(lambda n: "vision_tower" in n and "encoder.layers.%d." % (len(self.vt.encoder.layers) - 1) not in n and "post_layernorm" not in n, self.a.see_lr),
                      (lambda n: "vision_tower" not in n, self.a.talk_lr)])
        it = self.batches(tok, seed=2 + self.a.attempt)
        f, g = torch.compile(self.features), torch.compile(self.language, dynamic=False)
        if self.a.names: self.name_patches(tok, f, self.batches(batch=self.a.batch, seed=50), self.a.names)
        proj, emb, head = self.model.model.multi_modal_projector, self.model.get_input_embeddings(), self.model.lm_head
        start, n, k, log, saved = None, 0, 0, [], 0
        while True:
            b = next(it)
            h = f(self.pixels(b["px"]))
            img = proj(h[:, 1:])
            e = emb(b["ids"])
            e = e.masked_scatter((b["ids"] == IMAGE)[..., None], img[b["has"]])
            out = g(e)
            on = b["tgt"] != -100
            logits = head(out[on]).float()
            lm = F.cross_entropy(logits, b["tgt"][on])
            aux, acc = self.heads.loss(h, b)
            t = 0 if start is None else (time.time() - start) / (60 * minutes)
            (lm + self.a.aux * (1 - .7 * t) * aux).backward()
            if start is None: start = time.time()
            self.step(t, (k + 1) / 200)
            n += len(h); k += 1
            right = (logits.argmax(-1) == b["tgt"][on]).float().mean().item()
            log.append((lm.item(), right, aux.item(), acc.item()))
            if k % 50 == 0:
                m = np.mean(log[-50:], 0)
                print(f"talk {k} pictures {n} min {t * minutes:.1f} loss {m[0]:.4f} tokens right {m[1]:.4f} aux {m[2]:.3f} patch acc {m[3]:.3f} rate {n / (time.time() - start + 1e-9):.0f}/s", flush=True)
            if t * minutes - saved >= self.a.save_every or t >= 1:
                saved = t * minutes
                self.save(self.a.work + "/talk.pt")
                save_checkpoint(self.a.out, {n: p.detach().to(torch.bfloat16) for n, p in self.master.items()}, tok)
            if t >= 1: break


def corpus(cache, n, seed=11):
    """Sentences of the little world, for the tokenizer."""
    rng, w, out = np.random.default_rng(seed), D.World(cache), []
    prev = None
    for _ in range(n):
        sc = w.scene(rng, 56)[1]
        if not sc["things"]: continue
        for _, q, a in D.conversation(rng, sc, 4): out += [f"USER: {q} ASSISTANT: {a}", f"\n{q} ASSISTANT: {a}"]
        if prev: out += [f"USER: {q} ASSISTANT: {a}" for _, q, a in D.pair_conversation(rng, prev, sc)] + [f"\n{q}" for _, q, a in D.pair_conversation(rng, prev, sc)]
        prev = sc
    for _ in range(n // 2): out += ["USER: %s ASSISTANT: %s" % D.q_other(rng), "\n" + D.q_other(rng)[0]]
    out += [f"USER: {h} ASSISTANT: {D.SHOW}" for h in D.HELLO] * 20 + ["ASSISTANT: Please show me a picture."] * 50
    for t in D.THINGS: out += [f"{t['name']} {t['plural']} {' '.join(t['also'])} {D.cap(t['name'])}"] * 10
    return out


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("--cache", default="sprites.npz")
    ap.add_argument("--out", default="checkpoint")
    ap.add_argument("--work", default="work")
    ap.add_argument("--see-minutes", type=float, default=18)
    ap.add_argument("--talk-minutes", type=float, default=50)
    ap.add_argument("--start", help="go on from a state saved in --work")
    ap.add_argument("--batch", type=int, default=32)
    ap.add_argument("--length", type=int, default=136, help="tokens of a training conversation, 64 of them the picture's")
    ap.add_argument("--names", type=int, default=200, help="steps of the projector's naming warm-up")
    ap.add_argument("--talk-lr", type=float, default=1e-3)
    ap.add_argument("--see-batch", type=int, default=64)
    ap.add_argument("--see-peak", type=float, default=1e-3)
    ap.add_argument("--workers", type=int, default=0)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--outlines", type=float, default=0, help="share of the drawings that are redrawn with dark outlines")
    ap.add_argument("--groups", type=float, default=D.World.groups, help="share of the pictures of several things with a group of the same")
    ap.add_argument("--numbers", type=lambda text: [float(share) for share in text.split(",")], default=D.World.numbers, help="shares of the pictures with one to five things: .3,.3,.22,.12,.06")
    ap.add_argument("--kinds", default="", help="kinds of questions asked more or less often than data.py says: relation=3,describe=2")
    ap.add_argument("--aux", type=float, default=.5)
    ap.add_argument("--see-lr", type=float, default=2.5e-4)
    ap.add_argument("--save-every", type=float, default=5)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--attempt", type=int, default=0, help="another number, other pictures: for going on")
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    D.ask(dict((k, float(w)) for k, w in (kind.split("=") for kind in a.kinds.split(",") if kind)))
    os.makedirs(a.work, exist_ok=True); os.makedirs(a.out, exist_ok=True)
    tok_file = a.work + "/tokenizer.json"
    if not os.path.exists(tok_file): make_tokenizer(corpus(a.cache, 4000), tok_file)
    tok = load_tokenizer(tok_file)
    t = Trainer(a)
    if a.start: t.load(a.start)
    if a.see_minutes: t.see(a.see_minutes)
    if a.talk_minutes: t.talk(a.talk_minutes, tok)
