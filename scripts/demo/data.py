"""Scenes and conversations of the little world.

`World.scene` composes a picture from drawings on a background and remembers what it put where;
`conversation` asks about such a scene and knows the right answers.  Everything is drawn at random
from a NumPy generator, so a seed names a picture.
"""
import json
import cv2
import numpy as np
from sprites import CLASS, COLOURS, NAMES, PAINTED, SHAPES, THINGS, TRAIN_STYLES, from_hsv, to_hsv

cv2.setNumThreads(0)
BG_COLOURS = COLOURS + ["light blue", "light green", "light yellow", "light purple"]
LANDS = ["meadow", "sea", "beach", "snow", "night", "desert", "room"]
LAND_IN = dict(meadow="in a green meadow", sea="on the sea", beach="on a sandy beach", snow="in the snow",
               night="under a starry night sky", desert="in a desert", room="in a room")
LAND_IS = dict(meadow="a green meadow under a blue sky", sea="the sea under a blue sky", beach="a sandy beach by the sea",
               snow="a snowy landscape", night="a starry night sky", desert="a sandy desert", room="a room with a floor")
#            hue        saturation  value
_HSV = dict(red=((-7, 7), (.78, 1), (.72, 1)), orange=((22, 35), (.8, 1), (.9, 1)), yellow=((49, 58), (.7, 1), (.92, 1)),
            green=((95, 148), (.5, 1), (.45, .85)), blue=((206, 236), (.62, 1), (.55, 1)), purple=((266, 287), (.5, .9), (.5, .85)),
            pink=((322, 345), (.35, .6), (.92, 1)), brown=((18, 30), (.5, .75), (.34, .54)), black=((0, 360), (0, .2), (.02, .13)),
            white=((0, 360), (0, .03), (.95, 1)), grey=((0, 360), (0, .06), (.45, .68)))
_HSV.update({"light blue": ((198, 214), (.2, .4), (.95, 1)), "light green": ((95, 140), (.2, .38), (.9, 1)),
             "light yellow": ((48, 58), (.18, .36), (.97, 1)), "light purple": ((262, 280), (.16, .32), (.93, 1))})
PAINT = ["red", "orange", "yellow", "green", "blue", "purple", "pink"]
FLYING = {"sun", "moon", "cloud", "rainbow", "balloon", "plane", "helicopter", "rocket", "butterfly", "bee", "bat", "parrot"}


def colour_rgb(name, rng):
    (h0, h1), (s0, s1), (v0, v1) = _HSV[name]
    return from_hsv(np.array(rng.uniform(h0, h1)), np.array(rng.uniform(s0, s1)), np.array(rng.uniform(v0, v1))) * 255


def _shape_mask(name, n=96, f=4):
    """White-on-black mask of a plain shape, antialiased."""
    N, c = n * f, n * f / 2
    m = np.zeros((N, N), np.uint8)
    poly = lambda pts: cv2.fillPoly(m, [np.round(np.array(pts)).astype(np.int32)], 255)
    ring = lambda k, r, a0=-90: [(c + r * np.cos(np.radians(a0 + 360 * i / k)), c + r * np.sin(np.radians(a0 + 360 * i / k))) for i in range(k)]
    if name == "circle": cv2.circle(m, (int(c), int(c)), int(c) - f, 255, -1)
    elif name == "square": m[f:N - f, f:N - f] = 255
    elif name == "rectangle": m[int(N * .24):int(N * .76), f:N - f] = 255
    elif name == "triangle": poly([(c, N * .06), (N * .98, N * .94), (N * .02, N * .94)])
    elif name == "diamond": poly([(c, f), (N * .9, c), (c, N - f), (N * .1, c)])
    elif name == "hexagon": poly(ring(6, c - f, 0))
    elif name == "cross":
        m[int(N * .35):int(N * .65), f:N - f] = 255; m[f:N - f, int(N * .35):int(N * .65)] = 255
    elif name == "star":
        o, i = ring(5, c - f), ring(5, (c - f) * .42, -54)
        poly([p for pair in zip(o, i) for p in pair])
    elif name == "heart":
        t = np.linspace(0, 2 * np.pi, 200)
        x, y = 16 * np.sin(t) ** 3, 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
        poly(np.stack([c + x / 17 * c, c - (y + 2.5) / 17 * c], 1))
    m = cv2.resize(m, (n, n), interpolation=cv2.INTER_AREA)
    ys, xs = np.where(m > 24)
    return m[ys.min():ys.max() + 1, xs.min():xs.max() + 1]


_TURN = dict(circle=0, square=8, rectangle=8, triangle=12, diamond=8, hexagon=30, cross=8, star=18, heart=14)


class Thing:
    """One thing in a scene: its class, the colour that is part of its name (or None), where it is."""
    __slots__ = ("cls", "colour", "seen", "x", "y", "s", "style")

    def __init__(self, cls, colour, seen, x, y, s, style):
        self.cls, self.colour, self.seen, self.x, self.y, self.s, self.style = cls, colour, seen, x, y, s, style

    name = property(lambda o: NAMES[o.cls])
    noun = property(lambda o: (o.colour + " " if o.colour else "") + NAMES[o.cls])
    plural = property(lambda o: (o.colour + " " if o.colour else "") + THINGS[o.cls]["plural"])
    category = property(lambda o: THINGS[o.cls]["category"])


def premultiply(rgba):
    out = rgba.copy()
    out[..., :3] = (rgba[..., :3].astype(np.float32) * (rgba[..., 3:] / np.float32(255)) + .5).astype(np.uint8)
    return out


def paint(rgba, hue, colour, rng):
    """Turn a drawing's main hue into another colour."""
    h, s, v = to_hsv(rgba[..., :3].astype(np.float32) / 255)
    near = (np.abs((h - hue + 180) % 360 - 180) < 34) & (s > .22)
    (h0, h1), _, (v0, v1) = _HSV[colour]
    ns = s * (.62 if colour == "pink" else 1) if s[near].mean() > .5 else s * 1.3
    nv = np.clip(v * (.6 * v0 + .4 * v1) / max(np.percentile(v[near], 75), .3), 0, 1)
    out = rgba.copy()
    out[..., :3] = np.where(near[..., None], from_hsv(np.full_like(h, rng.uniform(h0, h1)), np.clip(ns, 0, 1), nv) * 255, rgba[..., :3])
    return out


def outlined(rgba, rng):
    """A premultiplied drawing as another hand would draw it: dark lines around it and along its edges, colours a little paler."""
    w = max(1, round(max(rgba.shape[:2]) * rng.uniform(.015, .04)))
    p = cv2.copyMakeBorder(rgba, w, w, w, w, cv2.BORDER_CONSTANT)
    pale, alpha = rng.uniform(0, .25), p[..., 3].astype(np.float32)
    rgb = p[..., :3] * np.float32(1 - pale) + alpha[..., None] * np.float32(pale)
    edges = cv2.Canny(np.ascontiguousarray(p[..., :3]), 70, 160)
    edges = cv2.blur(cv2.dilate(edges, np.ones((w, w), np.uint8)), (3, 3)).astype(np.float32) / 255
    grown = cv2.dilate(p[..., 3], cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * w + 1, 2 * w + 1)))
    return np.dstack([rgb * (1 - edges[..., None]), grown]).astype(np.uint8)


class World:
    outlines = 0                                                # share of the drawings that get outlines; for training
    groups = .45                                                # share of the pictures of several things with a group of the same
    numbers = .3, .3, .22, .12, .06                             # how often a picture has one to five things

    def __init__(self, cache, styles=TRAIN_STYLES):
        z = np.load(cache)
        self.raw, self.painted, self.pool = {}, {}, None
        self.by = {}                                            # class -> style -> list of (RGBA float, seen colour, hue)
        for i, (style, c, name, seen, hue) in enumerate(json.loads(str(z["index"]))):
            if style in styles:
                self.by.setdefault(c, {}).setdefault(style, []).append((premultiply(z[f"s{i}"]), seen, hue))
                if NAMES[c] in PAINTED: self.raw[id(self.by[c][style][-1][0])] = z[f"s{i}"]
        for s in SHAPES: self.by[CLASS[s]] = {"shape": [(_shape_mask(s, 256 if z["s0"].shape[0] > 128 else 96), -1, 0)]}
        self.things = sorted(c for c in self.by if NAMES[c] not in SHAPES)
        self.shapes = [CLASS[s] for s in SHAPES]
        self.cats = {k: [c for c in self.things if THINGS[c]["category"] == k] for k in ("animal", "food", "vehicle", "plant", "object")}

    # ---- backgrounds -------------------------------------------------------------------------------
    def background(self, rng, H, W, kind=None):
        """(image float32 HxWx3, background description).  The description is a dict(kind, top, bottom)."""
        r = rng.random()
        kind = kind or ("plain" if r < .36 else "fade" if r < .5 else LANDS[rng.integers(len(LANDS))])
        yy = np.linspace(0, 1, H, dtype=np.float32)[:, None, None]
        top = bottom = None
        if kind in ("plain", "fade"):
            top = bottom = BG_COLOURS[rng.integers(len(BG_COLOURS))]
            a = colour_rgb(top, rng).astype(np.float32); b = a
            if kind == "fade":
                while bottom == top or bottom.split()[-1] == top.split()[-1]: bottom = BG_COLOURS[rng.integers(len(BG_COLOURS))]
                b = colour_rgb(bottom, rng).astype(np.float32)
            elif rng.random() < .3: b = a * np.float32(rng.uniform(.86, .98))    # a hint of shading
            im = np.broadcast_to(a * (1 - yy) + b * yy, (H, W, 3)).astype(np.float32)
            if kind == "plain" and rng.random() < .35:               # soft noise
                k = int(rng.integers(4, 16))
                n = cv2.resize(rng.normal(0, rng.uniform(2, 8), (k, k)).astype(np.float32), (W, H), interpolation=cv2.INTER_CUBIC)
                im = im + n[..., None]
            return im, dict(kind=kind, top=top, bottom=bottom)
        x = np.linspace(0, 1, W, dtype=np.float32)[None, :]
        wave = lambda amp: amp * (np.sin(x * rng.uniform(2, 7) + rng.uniform(0, 6)) + .5 * np.sin(x * rng.uniform(6, 12) + rng.uniform(0, 6)))
        u = rng.uniform
        hsv = lambda h, s, v: (from_hsv(np.array(float(h)), np.array(float(s)), np.array(float(v))) * 255).astype(np.float32)
        def mix(a, b, t): return a * (1 - t) + b * t
        sky = lambda: mix(hsv(u(198, 215), u(.35, .65), u(.9, 1)), hsv(u(190, 210), u(.08, .25), 1), np.clip(yy * 1.7, 0, 1))
        def ground(im, level, near, far):
            """Blend ground colours (far at the horizon, near at the bottom) below the curve `level` (1xW)."""
            d = (yy[..., 0] - level)
            m = np.clip(d * H + .5, 0, 1)[..., None]
            t = np.clip(d / .5, 0, 1)[..., None]
            return im * (1 - m) + mix(far, near, t) * m
        im = np.broadcast_to(sky(), (H, W, 3)).astype(np.float32)
        if kind == "meadow":
            g = u(88, 125)
            if rng.random() < .6: im = ground(im, u(.4, .55) + wave(.035), hsv(g + u(-8, 8), u(.4, .6), u(.6, .75)), hsv(g, u(.3, .5), u(.7, .82)))
            im = ground(im, u(.5, .66) + wave(.02), hsv(g, u(.6, .8), u(.5, .65)), hsv(g - 5, u(.5, .7), u(.68, .82)))
        elif kind == "sea":
            h = u(200, 218)
            im = ground(im, u(.45, .62) + 0 * x, hsv(h, u(.75, .95), u(.5, .65)), hsv(h - 8, u(.55, .75), u(.7, .85)))
            lev = yy[..., 0] > .66
            s = (np.sin(yy[..., 0] * u(60, 110) + np.sin(x * u(8, 20)) * 1.2) > .9) & lev
            im = im + s[..., None] * u(8, 26)
        elif kind == "beach":
            h, hz = u(195, 212), u(.38, .5)
            im = ground(im, hz + 0 * x, hsv(h, u(.6, .8), u(.7, .85)), hsv(h, u(.55, .75), u(.72, .88)))
            im = ground(im, hz + u(.12, .2) + wave(.012), hsv(u(36, 44), u(.3, .45), u(.85, .95)), hsv(u(38, 46), u(.22, .38), u(.92, 1)))
        elif kind == "snow":
            im = np.broadcast_to(mix(hsv(u(205, 225), u(.15, .4), u(.8, .95)), hsv(210, u(.03, .1), u(.92, 1)), np.clip(yy * 1.6, 0, 1)), (H, W, 3)).astype(np.float32)
            im = ground(im, u(.45, .58) + wave(.03), hsv(210, u(.02, .08), u(.93, 1)), hsv(212, u(.05, .13), u(.88, .96)))
            im = ground(im, u(.6, .72) + wave(.02), hsv(205, .01, 1), hsv(210, u(.02, .05), u(.95, 1)))
            im = np.ascontiguousarray(im)
            if rng.random() < .5:
                for _ in range(int(rng.integers(10, 40))): self._dot(im, u(0, W), u(0, H), u(.004, .009) * min(H, W), (255, 255, 255))
        elif kind == "night":
            h = u(225, 250)
            im = np.ascontiguousarray(np.broadcast_to(mix(hsv(h, u(.6, .85), u(.12, .24)), hsv(h + u(-10, 10), u(.5, .7), u(.28, .42)), yy), (H, W, 3)).astype(np.float32))
            for _ in range(int(rng.integers(12, 40))):
                v = u(170, 255); self._dot(im, u(0, W), u(0, H * .75), u(.003, .009) * min(H, W), (v, v, v * u(.8, 1)))
            if rng.random() < .7: im = ground(im, u(.68, .82) + wave(.03), hsv(u(210, 260), .5, u(.05, .1)), hsv(u(200, 260), .5, u(.1, .16)))
        elif kind == "desert":
            if rng.random() < .5: im = np.broadcast_to(mix(hsv(u(25, 38), u(.4, .7), 1), hsv(u(40, 50), u(.2, .4), 1), np.clip(yy * 1.6, 0, 1)), (H, W, 3)).astype(np.float32)
            o = u(28, 38)
            im = ground(im, u(.45, .6) + wave(.05), hsv(o, u(.5, .65), u(.78, .88)), hsv(o + 3, u(.4, .55), u(.86, .94)))
            im = ground(im, u(.62, .75) + wave(.04), hsv(o, u(.5, .68), u(.82, .92)), hsv(o + 2, u(.45, .6), u(.9, .97)))
        elif kind == "room":
            wall = hsv(u(0, 360), u(.06, .3), u(.8, .97))
            im = np.broadcast_to(mix(wall, wall * .94, yy), (H, W, 3)).astype(np.float32)
            f = u(18, 32)
            im = ground(im, u(.64, .76) + 0 * x, hsv(f, u(.45, .65), u(.45, .6)), hsv(f, u(.4, .6), u(.5, .66)))
        return im, dict(kind=kind, top=None, bottom=None)

    @staticmethod
    def _dot(im, x, y, r, col):
        cv2.circle(im, (int(x * 16), int(y * 16)), max(int(r * 16), 8), col, -1, cv2.LINE_AA if im.dtype == np.uint8 else cv2.LINE_8, 4)

    # ---- things -------------------------------------------------------------------------------------
    def drawing(self, rng, cls, style=None, colour=None):
        """(premultiplied RGBA uint8, colour that belongs to the name or None, colour seen or None, style)."""
        styles = self.by[cls]
        style = style if style in styles else list(styles)[rng.integers(len(styles))]
        im, seen, hue = styles[style][rng.integers(len(styles[style]))]
        if style == "shape":
            colour = colour or COLOURS[rng.integers(len(COLOURS))]
            rgba = np.append(colour_rgb(colour, rng), 255).astype(np.float32) / 255
            return cv2.convertScaleAbs(cv2.merge([im] * 4).astype(np.float32) * rgba), colour, colour, style
        if NAMES[cls] in PAINTED:
            colour = colour or PAINT[rng.integers(len(PAINT))]
            key = id(im), colour, int(rng.integers(3))             # three shades of each colour
            if key not in self.painted: self.painted[key] = premultiply(paint(self.raw[id(im)], hue, colour, rng))
            return self.painted[key], colour, colour, style
        return im, None, COLOURS[seen] if seen >= 0 else None, style

    def pick(self, rng, n):
        """Choose what is in a scene: a list of (class, style or None, colour or None)."""
        def one():
            r = rng.random()
            if r < .16: return self.shapes[rng.integers(len(self.shapes))]
            return self.things[rng.integers(len(self.things))]
        out, style = [], None
        if rng.random() < .5: style = TRAIN_STYLES[rng.integers(len(TRAIN_STYLES))]   # one hand drew the whole picture
        if n >= 2 and rng.random() < self.groups:                                       # a group of the same thing
            k, c = int(rng.integers(2, n + 1)), one()
            st = style or list(self.by[c])[rng.integers(len(self.by[c]))]
            col = None
            if NAMES[c] in SHAPES: col = COLOURS[rng.integers(len(COLOURS))]
            if NAMES[c] in PAINTED: col = PAINT[rng.integers(len(PAINT))]
            if rng.random() < .3: col = None
            out += [(c, st if rng.random() < .9 else None, col) for _ in range(k)]
        while len(out) < n:
            c = one()
            if rng.random() < .25 and out and THINGS[out[-1][0]]["category"] in self.cats:   # things of a kind go together
                k = self.cats[THINGS[out[-1][0]]["category"]]; c = k[rng.integers(len(k))]
            out.append((c, style, None))
        return [out[i] for i in rng.permutation(len(out))]

    def scene(self, rng, size=112, wide=1.0, tall=1.0, bg=None, items=None, clean=False, places=None):
        """Compose one picture.  Returns (uint8 HxWx3, scene dict, visible-thing map of the central square).

        `wide`/`tall` stretch the canvas beyond the central square (what a square centre crop keeps);
        things are placed inside that square only.
        """
        W, H = int(round(size * wide)), int(round(size * tall))
        ox, oy = (W - size) // 2, (H - size) // 2
        if self.pool is None or bg or H != W or H != self.pool_size: im, bgd = self.background(rng, H, W, bg)
        elif len(self.pool) < 1500 or rng.random() < .15:          # training uses a background about seven times
            im, bgd = self.background(rng, H, W)
            if len(self.pool) < 1500: self.pool.append((im, bgd))
            else: self.pool[rng.integers(1500)] = im, bgd
        else:
            im, bgd = self.pool[rng.integers(1500)]
            if rng.random() < .5: im = im[:, ::-1]
        im = np.array(im, dtype=np.float32, order="C")
        n = int(rng.choice([1, 2, 3, 4, 5], p=self.numbers))
        items = items if items is not None else self.pick(rng, n)
        n = len(items)
        lo, hi = [(.4, .8), (.32, .52), (.28, .44), (.26, .38), (.24, .33)][min(n, 5) - 1]
        natural = bgd["kind"] in LANDS and rng.random() < .55
        ids = np.zeros((size, size), np.uint8)
        things, boxes = [], []
        shadow = rng.random() < .25
        base = rng.uniform(lo, hi)
        for k, (c, style, colour) in enumerate(items):
            for attempt in range(4):
                a, col, seen, st = self.drawing(rng, c, style, colour)
                if self.outlines and st != "shape" and rng.random() < self.outlines: a = outlined(a, rng)
                h, w = a.shape[:2]
                s = (base * rng.uniform(.85, 1.15) if rng.random() < .6 else rng.uniform(lo, hi)) * .9 ** attempt
                s = min(max(s, lo * .9), .85)
                bw, bh = s * w / max(w, h), s * h / max(w, h)
                place = None
                if places: place = places[k][:2]; s = places[k][2]; bw, bh = s * w / max(w, h), s * h / max(w, h)
                else:
                    for _ in range(25):
                        x, y = rng.uniform(bw / 2 - .02, 1.02 - bw / 2), rng.uniform(bh / 2 - .02, 1.02 - bh / 2)
                        if natural:
                            y = rng.uniform(bh / 2, max(.42, bh / 2 + .02)) if NAMES[c] in FLYING else rng.uniform(min(.6, .98 - bh / 2), 1.0 - bh / 2)
                        if any(abs(v - e) < .025 for v in (x, y) for e in (.37, .63)): continue
                        if any(abs(x - X) < (bw + Bw) * .47 and abs(y - Y) < (bh + Bh) * .47 for X, Y, Bw, Bh in boxes): continue
                        place = (x, y); break
                if place is None: continue
                x, y = place
                # size, flip, small turn
                tw, th = max(int(round(bw * size)), 4), max(int(round(bh * size)), 4)
                t = cv2.resize(a, (tw, th), interpolation=cv2.INTER_AREA if tw <= w else cv2.INTER_CUBIC)
                if rng.random() < .5 and not places: t = cv2.flip(t, 1)
                lim = _TURN[NAMES[c]] if st == "shape" else 12
                if rng.random() < .5 and lim and not places:
                    ang = float(rng.uniform(-lim, lim))
                    R = cv2.getRotationMatrix2D((tw / 2, th / 2), ang, 1)
                    cw, ch = int(th * abs(R[0, 1]) + tw * abs(R[0, 0])) + 2, int(th * abs(R[0, 0]) + tw * abs(R[0, 1])) + 2
                    R[0, 2] += cw / 2 - tw / 2; R[1, 2] += ch / 2 - th / 2
                    t = cv2.warpAffine(t, R, (cw, ch), flags=cv2.INTER_LINEAR); tw, th = cw, ch
                x0, y0 = int(round(ox + x * size - tw / 2)), int(round(oy + y * size - th / 2))
                cx0, cy0, cx1, cy1 = max(x0, 0), max(y0, 0), min(x0 + tw, W), min(y0 + th, H)
                t = t[cy0 - y0:cy1 - y0, cx0 - x0:cx1 - x0].astype(np.float32)
                m = t[..., 3:] * np.float32(1 / 255)
                roi = im[cy0:cy1, cx0:cx1]
                rest = roi * (1 - m)
                if not places:                                        # enough contrast to be seen?
                    if np.abs(t[..., :3] + rest - roi).sum() / max(3 * m.sum(), 1) < 28: continue
                if shadow and bgd["kind"] in LANDS and NAMES[c] not in FLYING and bgd["kind"] != "night":
                    self._shadow(im, ox + x * size, oy + (y + bh * .5) * size, bw * size * .5, max(bw * size * .1, 1.5))
                    rest = im[cy0:cy1, cx0:cx1] * (1 - m)
                im[cy0:cy1, cx0:cx1] = rest + t[..., :3]
                sx0, sy0, sx1, sy1 = max(cx0 - ox, 0), max(cy0 - oy, 0), min(cx1 - ox, size), min(cy1 - oy, size)
                sub = m[sy0 + oy - cy0:sy1 + oy - cy0, sx0 + ox - cx0:sx1 + ox - cx0, 0]
                ids[sy0:sy1, sx0:sx1][sub > .5] = len(things) + 1
                boxes.append((x, y, bw, bh))
                things.append(Thing(c, col, seen, x, y, max(bw, bh), st))
                break
        if not clean:
            gain = np.full(3, rng.uniform(.88, 1.1), np.float32)
            if rng.random() < .4: gain = gain * rng.uniform(.96, 1.04, 3).astype(np.float32)
            im = im * gain + np.float32(rng.uniform(-8, 8))
            if rng.random() < .18: im = cv2.GaussianBlur(im, (0, 0), rng.uniform(.3, .9) * size / 112)
            if rng.random() < .15: im = im + rng.standard_normal(im.shape, dtype=np.float32) * np.float32(rng.uniform(1, 6))
        im = cv2.convertScaleAbs(np.maximum(im, 0, out=im))
        if not clean and rng.random() < .2:
            ok, j = cv2.imencode(".jpg", im[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 90))])
            im = cv2.imdecode(j, cv2.IMREAD_COLOR)[..., ::-1]
        return im, dict(bg=bgd, things=things), ids

    @staticmethod
    def _shadow(im, x, y, rx, ry):
        H, W = im.shape[:2]
        x0, x1, y0, y1 = int(max(x - rx, 0)), int(min(x + rx + 1, W)), int(max(y - ry, 0)), int(min(y + ry + 1, H))
        if x1 <= x0 or y1 <= y0: return
        gx, gy = (np.arange(x0, x1) - x) / rx, (np.arange(y0, y1) - y) / ry
        d = np.clip(1 - (gx[None] ** 2 + gy[:, None] ** 2), 0, 1)
        im[y0:y1, x0:x1] *= (1 - .35 * d)[..., None]


def patch_labels(scene, ids, patch=14):
    """What each patch shows: (thing class or len(NAMES), colour or -100, 1 where a thing's middle is)."""
    n = ids.shape[0] // patch
    cls = np.full(n * n, len(NAMES), np.int64); col = np.full(n * n, -100, np.int64); mid = np.zeros(n * n, np.float32)
    best = np.full(n * n, .18)
    for k, t in enumerate(scene["things"]):
        m = ids == k + 1
        cov = m.reshape(n, patch, n, patch).mean((1, 3)).reshape(-1)
        b = cov > best
        cls[b] = t.cls; best[b] = cov[b]
        col[b] = COLOURS.index(t.seen) if t.seen else -100
        mid[min(int(t.y * n), n - 1) * n + min(int(t.x * n), n - 1)] = 1
    return cls, col, mid


def background_label(bg):
    """(kind, top colour, bottom colour) as small integers; -100 where there is none."""
    kinds = ["flat"] + LANDS
    if bg["kind"] in LANDS: return kinds.index(bg["kind"]), -100, -100
    return 0, BG_COLOURS.index(bg["top"]), BG_COLOURS.index(bg["bottom"])


# ---- language -----------------------------------------------------------------------------------------
NUM = ["no", "one", "two", "three", "four", "five", "six"]
UNKNOWN = ["dragon", "person", "man", "woman", "child", "dinosaur", "mountain", "river", "bridge", "road", "sofa", "table", "lamp", "fork",
           "bottle", "window", "door", "computer", "wallet", "ladder", "potato", "onion", "tank", "skateboard", "piano", "hand", "boot",
           "spaceship", "bucket", "pillow", "mirror", "squirrel", "goat", "deer", "swan", "lobster", "beetle", "kite", "fence", "glove"]


def an(noun):
    return ("an " if noun[0].lower() in "aeiou" and not noun.startswith(("uni", "one")) else "a ") + noun


def cap(s): return s[0].upper() + s[1:]


def listing(parts):
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def groups(things, key=lambda t: t.noun):
    """Things with the same name, in reading order from left to right: [(noun phrase, [things])]."""
    g = {}
    for t in sorted(things, key=lambda t: t.x): g.setdefault(key(t), []).append(t)
    return list(g.values())


def phrase(g): return an(g[0].noun) if len(g) == 1 else f"{NUM[len(g)]} {g[0].plural}"


def name_all(things): return listing([phrase(g) for g in groups(things)]) if things else "nothing"


def where(t):
    col = 0 if t.x < .37 else 1 if t.x < .63 else 2
    row = 0 if t.y < .37 else 1 if t.y < .63 else 2
    return [["at the top left", "at the top", "at the top right"], ["on the left", "in the middle", "on the right"],
            ["at the bottom left", "at the bottom", "at the bottom right"]][row][col]


def bg_in(bg):
    if bg["kind"] in LANDS: return LAND_IN[bg["kind"]]
    if bg["top"] == bg["bottom"]: return f"on {an(bg['top'])} background"
    return f"on a background that fades from {bg['top']} to {bg['bottom']}"


def bg_is(bg):
    if bg["kind"] in LANDS: return "The background is " + LAND_IS[bg["kind"]] + "."
    if bg["top"] == bg["bottom"]: return f"The background is {bg['top']}."
    return f"The background fades from {bg['top']} to {bg['bottom']}."


def short(sc):
    return f"{name_all(sc['things'])} {bg_in(sc['bg'])}"


def long_description(sc):
    s = f"The picture shows {short(sc)}."
    single = [g[0] for g in groups(sc["things"]) if len(g) == 1]
    if single: s += " " + cap(listing([f"the {t.noun} is {where(t)}" for t in single])) + "."
    return s


def one_of(rng, *a): return a[rng.integers(len(a))]


def ask_name(rng, t, plural=False):
    """A thing's name in a question: now and then another word for it."""
    d = THINGS[t.cls]
    if d["also"] and rng.random() < .2:
        w = d["also"][rng.integers(len(d["also"]))]
        return (w + ("es" if w[-1] in "sh" else "s")) if plural else w
    return d["plural"] if plural else d["name"]


CATS = dict(animal=("animal", "animals"), food=("food", "foods"), vehicle=("vehicle", "vehicles"), plant=("plant", "plants"), shape=("shape", "shapes"))
BRIEF = " Answer the question using a single word or phrase."


def q_describe(rng, sc):
    return one_of(rng, "Describe this picture.", "Describe the image.", "Describe this image in detail.", "What is going on in this picture?",
                  "Please describe the picture.", "Can you describe this image?", "Tell me about this picture.", "Describe the scene.",
                  "What does this picture look like?", "Give a detailed description of the image.", "Describe what you see."), long_description(sc)


def q_short(rng, sc):
    return one_of(rng, "What is shown in this image?", "What is in this picture?", "What do you see?", "What can you see in the image?",
                  "What is this?", "What's in the picture?", "What does the picture show?", "What is in the image?", "Write a caption for this picture.",
                  "What are the contents of this image?", "What's this?", "What is shown here?"), f"The picture shows {short(sc)}."


def q_name(rng, sc):
    ts = sc["things"]
    q, a = one_of(rng, "Which things are in the picture?", "What things do you see?", "Name the things in the picture.", "List the objects in the image.",
                  "What objects are in the image?"), cap(name_all(ts)) + "."
    if len(ts) == 1 and rng.random() < .5: return one_of(rng, "What is this?", "Name this.", "What is it?", "What is the object in the image?") + BRIEF, cap(ts[0].name)
    return q, a


def q_count(rng, sc):
    ts = sc["things"]
    r = rng.random()
    if r < .2: 
        n = len(ts)
        return one_of(rng, "How many things are there?", "How many objects are in the picture?", "How many things are in the picture?", "Count the things."), \
            f"There is one thing." if n == 1 else f"There are {NUM[n]} things."
    if r < .36:
        k = one_of(rng, "animal", "food", "vehicle", "plant", "shape") if rng.random() < .4 else ts[rng.integers(len(ts))].category
        if k in CATS and k != "food":
            n = sum(t.category == k for t in ts)
            return one_of(rng, f"How many {CATS[k][1]} are there?", f"How many {CATS[k][1]} can you see?", f"Count the {CATS[k][1]}."), \
                f"There is one {k}." if n == 1 else f"There are {NUM[n]} {CATS[k][1]}."
    t = ts[rng.integers(len(ts))]
    gs = groups(ts, lambda t: t.name)
    big = [g for g in gs if len(g) > 1]
    if big and rng.random() < .6: t = big[rng.integers(len(big))][0]
    if rng.random() < .1: t = absent(rng, sc)
    n = sum(o.cls == t.cls for o in ts)
    pl = ask_name(rng, t, True)
    a = f"There is one {t.name}." if n == 1 else f"There are {NUM[n]} {THINGS[t.cls]['plural']}."
    q = one_of(rng, f"How many {pl} are there?", f"How many {pl} are in the picture?", f"How many {pl} do you see?", f"Count the {pl}.", f"How many {pl} can you see in the image?")
    if rng.random() < .12: return q + BRIEF, cap(NUM[n]) if n else "None"
    return q, a


def absent(rng, sc):
    """A thing that is not in the scene, often of a kind with one that is."""
    have = {t.cls for t in sc["things"]}
    while True:
        c = int(rng.integers(len(NAMES)))
        if rng.random() < .4 and sc["things"]:
            k = THINGS[sc["things"][rng.integers(len(sc["things"]))].cls]["category"]
            c = [i for i, t in enumerate(THINGS) if t["category"] == k][rng.integers(sum(t["category"] == k for t in THINGS))]
        if c not in have: return Thing(c, None, None, .5, .5, .3, "")


def q_yesno(rng, sc):
    ts = sc["things"]
    r = rng.random()
    brief = rng.random() < .12
    if r < .06:
        u = UNKNOWN[rng.integers(len(UNKNOWN))]
        q, a = f"Is there {an(u)} in the picture?", f"No, there is no {u}."
    elif r < .2:
        k = one_of(rng, "animal", "vehicle", "plant", "shape")
        some = [t for t in ts if t.category == k]
        q = one_of(rng, f"Is there {an(k)} in the picture?", f"Are there any {CATS[k][1]}?", f"Can you see {an(k)}?", f"Is there {an(k)}?")
        a = f"Yes, there {'is' if len(groups(some)[0]) == 1 else 'are'} {name_all(some)}." if some else f"No, there is no {k}."
    else:
        t = ts[rng.integers(len(ts))] if rng.random() < .5 else absent(rng, sc)
        n = sum(o.cls == t.cls for o in ts)
        w = ask_name(rng, t)
        q = one_of(rng, f"Is there {an(w)} in the picture?", f"Is there {an(w)}?", f"Can you see {an(w)}?", f"Does the image show {an(w)}?",
                   f"Is {an(w)} in the image?", f"Are there any {ask_name(rng, t, True)}?")
        if n == 0: a = f"No, there is no {t.name}."
        else: a = f"Yes, there is {an(t.name)}." if n == 1 else f"Yes, there are {NUM[n]} {THINGS[t.cls]['plural']}."
    if brief: return q + BRIEF, a.split(",")[0]
    return q, a


def colour_word(rng): return "colour" if rng.random() < .6 else "color"


def q_colour(rng, sc):
    cw = colour_word(rng)
    if rng.random() < .3:
        return one_of(rng, f"What {cw} is the background?", f"Which {cw} is the background?", "What is in the background?", "What is the background?", "Describe the background."), bg_is(sc["bg"])
    ok = [g[0] for g in groups(sc["things"], lambda t: t.name) if len(g) == 1 and g[0].seen]
    if not ok: return None
    named = [t for t in ok if t.colour]
    t = named[rng.integers(len(named))] if named and rng.random() < .7 else ok[rng.integers(len(ok))]
    w = ask_name(rng, t)
    q = one_of(rng, f"What {cw} is the {w}?", f"What {cw} is the {w}?", f"Which {cw} is the {w}?", f"What is the {cw} of the {w}?")
    if rng.random() < .12: return q + BRIEF, cap(t.seen)
    return q, f"The {t.name} is {t.seen}."


def q_which_colour_thing(rng, sc):
    ok = [t for t in sc["things"] if t.colour]
    if not ok: return None
    t = ok[rng.integers(len(ok))]
    same = [o for o in sc["things"] if o.seen == t.colour]
    if any(not o.colour for o in same): return None
    return one_of(rng, f"What is {t.colour}?", f"Which thing is {t.colour}?"), cap(name_all(same)) + "."


def unique(sc): return [g[0] for g in groups(sc["things"], lambda t: t.name) if len(g) == 1]


def q_where(rng, sc):
    u = unique(sc)
    if not u: return None
    t = u[rng.integers(len(u))]; w = ask_name(rng, t)
    return one_of(rng, f"Where is the {w}?", f"Where is the {w} in the picture?", f"Where can I find the {w}?", f"In which part of the image is the {w}?"), f"The {t.name} is {where(t)}."


DIRS = [("to the left of", "to the right of", 0, -1), ("to the right of", "to the left of", 0, 1), ("above", "below", 1, -1), ("below", "above", 1, 1)]


def q_beside(rng, sc):
    u = unique(sc)
    if not u or len(sc["things"]) < 2: return None
    t = u[rng.integers(len(u))]
    word, _, ax, sg = DIRS[rng.integers(4)]
    pos = lambda o: (o.x, o.y)[ax] * sg
    d = [(pos(o) - pos(t), o) for o in sc["things"] if o is not t]
    if any(abs(v) < .1 for v, _ in d): return None
    there = [o for v, o in d if v > 0]
    w = ask_name(rng, t)
    q = one_of(rng, f"What is {word} the {w}?", f"What can you see {word} the {w}?", f"Which things are {word} the {w}?" if len(there) > 1 else f"What is {word} the {w}?")
    if not there: return q, f"There is nothing {word} the {t.name}."
    gs = groups(there)
    return q, cap(name_all(there)) + (" is " if len(there) == 1 else " are ") + f"{word} the {t.name}."


def q_relation(rng, sc):
    u = unique(sc)
    if len(u) < 2: return None
    i, j = rng.permutation(len(u))[:2]
    a, b = u[i], u[j]
    word, opp, ax, sg = DIRS[rng.integers(4)]
    d = ((a.x, a.y)[ax] - (b.x, b.y)[ax]) * sg
    if abs(d) < .14: return None
    q = f"Is the {a.name} {word} the {b.name}?"
    return q, f"Yes, the {a.name} is {word} the {b.name}." if d > 0 else f"No, the {a.name} is {opp} the {b.name}."


def q_part(rng, sc):
    name, f = [("on the left", lambda t: t.x < .37), ("on the right", lambda t: t.x > .63), ("in the middle", lambda t: .37 < t.x < .63 and .37 < t.y < .63),
               ("at the top", lambda t: t.y < .37), ("at the bottom", lambda t: t.y > .63)][rng.integers(5)]
    there = [t for t in sc["things"] if f(t)]
    if not there and rng.random() < .6: return None
    return one_of(rng, f"What is {name}?", f"What do you see {name}?", f"What is {name} of the picture?" if not name.startswith("in") else f"What is {name}?"), \
        (cap(name_all(there)) + ("." if rng.random() < 0 else f" {'is' if len(there) == 1 else 'are'} {name}.")) if there else f"There is nothing {name}."


def q_category(rng, sc):
    k = one_of(rng, "animal", "food", "vehicle", "plant", "shape")
    if rng.random() < .75: k = sc["things"][rng.integers(len(sc["things"]))].category
    if k == "object": return None
    some = [t for t in sc["things"] if t.category == k]
    if k == "food": q = one_of(rng, "What food is in the picture?", "What can I eat here?", "Which food do you see?", "Is there something to eat?")
    else: q = one_of(rng, f"Which {k} is in the picture?", f"What {k} is this?", f"Which {CATS[k][1]} do you see?", f"What kind of {k} is shown?", f"Which {CATS[k][1]} are in the image?")
    return q, cap(name_all(some)) + "." if some else f"There is no {k} in the picture."


def q_size(rng, sc):
    u = unique(sc)
    if len(u) < 2: return None
    i, j = rng.permutation(len(u))[:2]
    a, b = u[i], u[j]
    if max(a.s, b.s) / min(a.s, b.s) < 1.25: return None
    big = rng.random() < .6
    t = (a if a.s > b.s else b) if big else (b if a.s > b.s else a)
    w = "bigger" if big else "smaller"
    return one_of(rng, f"Which is {w}, the {a.name} or the {b.name}?", f"Is the {a.name} or the {b.name} {w}?"), f"The {t.name} is {w}."


def q_missing(rng, sc):
    t = absent(rng, sc); w = THINGS[t.cls]["name"]
    return one_of(rng, f"What {colour_word(rng)} is the {w}?", f"Where is the {w}?", f"What is to the left of the {w}?", f"What is above the {w}?", f"What is the {w} doing?"), f"There is no {w} in the picture."


def q_it(rng, sc):
    """Follow-up questions about the only thing in the picture."""
    if len(sc["things"]) != 1: return None
    t = sc["things"][0]
    if rng.random() < .5 and t.seen: return one_of(rng, f"What {colour_word(rng)} is it?", f"And what {colour_word(rng)} is it?", f"Which {colour_word(rng)} is it?"), f"It is {t.seen}."
    return one_of(rng, "Where is it?", "And where is it?", "Where is it in the picture?"), f"It is {where(t)}."


def q_time(rng, sc):
    k = sc["bg"]["kind"]
    return one_of(rng, "Is it day or night?", "What time of day is it?"), \
        "It is night." if k == "night" else "I cannot tell." if k not in LANDS or k == "room" else "It is day."


def q_story(rng, sc):
    """A very short story in a fixed form."""
    gs = groups(sc["things"])
    an_ = [g for g in gs if g[0].category == "animal"]; rest = [g for g in gs if g[0].category != "animal"]
    place = bg_in(sc["bg"]) if sc["bg"]["kind"] in LANDS else "far away"
    if len(an_) >= 2: a = f"Once upon a time, {phrase(an_[0])} met {phrase(an_[1])} {place}, and they became friends."
    elif an_ and rest: a = f"Once upon a time, {phrase(an_[0])} found {phrase(rest[0])} {place}. What a happy day!"
    elif an_ and len(an_[0]) > 1: a = f"Once upon a time, {phrase(an_[0])} played {place} all day long."
    elif an_: a = f"Once upon a time, {phrase(an_[0])} was dreaming {place}."
    else: a = f"Once upon a time, somebody left {phrase(gs[0])} {place}. Nobody knows why."
    return one_of(rng, "Tell me a story about this picture.", "Tell me a story.", "Write a short story about the image.", "Make up a story about the picture."), a


COUNTRIES = "France Germany Italy Spain Japan China India Brazil Canada Egypt Kenya Norway Poland Greece Peru Chile Mexico Australia".split()
OTHER = ["Who are you?", "What is the meaning of life?", "Who wrote this book?", "What is the weather like tomorrow?", "Can you write a poem?", "Tell me a joke.",
         "What time is it?", "How old are you?", "Who is the president?", "Write a Python program that sorts a list.", "Solve this equation.", "What is love?",
         "Explain quantum physics.", "How do I cook rice?", "Who won the world cup?", "What is your name?", "Which year was this painted?", "Who painted this?",
         "What does the text say?", "Read the text in the image.", "How much does it cost?", "Is this person happy?", "Who is this person?", "What is the person wearing?",
         "Sing a song.", "What is the best phone to buy?", "Give me some advice.", "How far away is the moon?", "Why is the sky blue?", "Should I buy a house?",
         "What language is this?", "Write an email to my boss.", "Summarise this article.", "What is machine learning?", "Recommend a film.", "How do computers work?",
         "What brand is this?", "Where was this photo taken?", "Is this a famous place?", "What did Einstein discover?", "How can I learn to swim?", "What are the news today?"]
MODEST = "I can only talk about simple pictures."


def q_other(rng, sc=None):
    r = rng.random()
    if r < .5: q = OTHER[rng.integers(len(OTHER))]
    elif r < .62: q = f"What is the capital of {COUNTRIES[rng.integers(len(COUNTRIES))]}?"
    elif r < .74: q = f"What is {rng.integers(1, 100)} {one_of(rng, 'plus', 'minus', 'times', '+', '-')} {rng.integers(1, 100)}?"
    elif r < .84: q = f"Translate {one_of(rng, 'this', 'the word', 'hello', 'good morning', 'thank you')} into {one_of(rng, 'French', 'German', 'Spanish', 'Latin', 'Chinese')}."
    elif r < .92: q = f"{one_of(rng, 'Who invented', 'What is the history of', 'How do you make', 'Where can I buy', 'What is the price of')} {one_of(rng, 'the telephone', 'bread', 'cheese', 'paper', 'glass', 'gold', 'the internet', 'music', 'a car', 'chocolate')}?"
    else: q = f"{one_of(rng, 'Who was', 'When did', 'Why did', 'How did')} {one_of(rng, 'Newton', 'Mozart', 'the Romans', 'my friend', 'Napoleon', 'the queen', 'they')} {one_of(rng, 'live', 'leave', 'win', 'say that', 'do it', 'stop')}?"
    return q, MODEST


HELLO = ["Hello!", "Hi!", "Hi there", "Good morning!", "Hello, how are you?", "Hey"]
SHOW = "Hello! Show me a picture and ask me about it."
KINDS = [("describe", q_describe, 1.6), ("short", q_short, 1.8), ("name", q_name, 1.0), ("count", q_count, 1.7), ("yesno", q_yesno, 1.7), ("colour", q_colour, 1.5),
         ("what_colour_thing", q_which_colour_thing, .3), ("where", q_where, 1.0), ("beside", q_beside, 1.3), ("relation", q_relation, .8), ("part", q_part, .7),
         ("category", q_category, 1.0), ("size", q_size, .5), ("missing", q_missing, .4), ("it", q_it, .5), ("time", q_time, .15), ("story", q_story, .45), ("other", q_other, .3)]
_P = np.array([k[2] for k in KINDS]) / sum(k[2] for k in KINDS)


def ask(shares):
    """Changes how often kinds of questions are asked: {kind: its new weight in KINDS}."""
    global _P
    unknown = shares.keys() - {k[0] for k in KINDS}
    if unknown: raise ValueError(f"no such kinds of questions: {', '.join(sorted(unknown))}")
    w = np.array([shares.get(k[0], k[2]) for k in KINDS])
    _P = w / w.sum()


def conversation(rng, sc, turns):
    """`turns` questions about a scene with their answers: [(kind, question, answer)]."""
    out, asked = [], set()
    while len(out) < turns:
        kind, f, _ = KINDS[rng.choice(len(KINDS), p=_P)]
        if kind in asked and kind in ("describe", "short", "name", "story", "time", "it"): continue    # do not repeat oneself
        qa = f(rng, sc)
        if qa is None or qa[0] in asked: continue
        asked |= {qa[0], kind}; out.append((kind, *qa))
    return out


def pair_conversation(rng, a, b):
    """Questions about two pictures."""
    out = []
    r = rng.random()
    def compare(): return one_of(rng, "Compare the two pictures.", "What is the difference between the two pictures?", "Describe both images.", "What do the two pictures show?", "Compare these images."), \
        f"The first picture shows {short(a)}. The second picture shows {short(b)}."
    def which():
        f = rng.random() < .5
        return one_of(rng, f"What is in the {'first' if f else 'second'} picture?", f"Describe the {'first' if f else 'second'} image.", f"What does the {'first' if f else 'second'} picture show?"), \
            f"The {'first' if f else 'second'} picture shows {short(a if f else b)}."
    def find():
        src = a if rng.random() < .5 else b
        t = src["things"][rng.integers(len(src["things"]))] if rng.random() < .85 else absent(rng, dict(things=a["things"] + b["things"]))
        A, B = any(o.cls == t.cls for o in a["things"]), any(o.cls == t.cls for o in b["things"])
        w = an(ask_name(rng, t))
        return one_of(rng, f"Which picture shows {w}?", f"In which picture is there {w}?"), \
            "Both pictures show " + an(t.name) + "." if A and B else f"The first picture shows {an(t.name)}." if A else f"The second picture shows {an(t.name)}." if B else f"No picture shows {an(t.name)}."
    fs = [("compare", compare), ("which", which), ("find", find)]
    first = int(rng.choice(3, p=[.45, .3, .25]))
    for k in [first, (first + 1 + int(rng.integers(2))) % 3]: out.append((fs[k][0], *fs[k][1]()))
    return out
