"""Fits the coefficients in src/codegen/math.ts. Needs numpy.

Minimax fits by iteratively reweighted least squares:
  exp: e^f = 1 + f + f^2 q(f) on [-ln 2 / 2, ln 2 / 2], least relative error
  erf: x P(x^2) / Q(x^2) on [0, 3.9], least relative error
"""

import math

import numpy as np


def refine(solve, rounds=400):
    """Calls solve(weights) -> (errors, coefficients) with ever better weights; gives the best."""
    weights, best = 1.0, (math.inf, None)
    for _ in range(rounds):
        errors, coefficients = solve(weights)
        if errors.max() < best[0]:
            best = (errors.max(), coefficients)
        weights = weights * (errors / errors.max() + 1e-3)
        weights = weights / weights.mean()
    return best


def fit_exp(degree=4):
    f = math.log(2) / 2 * np.cos(np.linspace(0, math.pi, 4001))
    basis = np.stack([f ** (2 + k) for k in range(degree + 1)], 1)
    goal, scale = np.exp(f) - 1 - f, np.exp(-f)

    def solve(weights):
        w = np.sqrt(weights) * scale
        c, *_ = np.linalg.lstsq(basis * w[:, None], goal * w, rcond=None)
        return np.abs((basis @ c - goal) * scale), c

    return refine(solve)


def fit_erf(p=5, q=5, end=3.9):
    x = end * np.cos(np.linspace(0, math.pi / 2, 6001))
    x = x[x > 0]
    s = x * x
    goal = np.vectorize(math.erf)(x) / x
    basis = np.stack([s**i for i in range(p + 1)] + [-goal * s**i for i in range(1, q + 1)], 1)
    denominator = np.ones_like(x)

    def solve(weights):
        nonlocal denominator
        w = np.sqrt(weights) / goal / denominator
        size = np.abs(basis * (w * np.ones_like(x))[:, None]).max(0)
        c, *_ = np.linalg.lstsq(basis * (w * np.ones_like(x))[:, None] / size, goal * w, rcond=1e-17)
        c = c / size
        top = sum(c[i] * s**i for i in range(p + 1))
        bottom = 1 + sum(c[p + i] * s**i for i in range(1, q + 1))
        denominator = np.abs(bottom)
        return np.abs(top / bottom / goal - 1), c

    return refine(solve)


for name, (error, coefficients) in {"exp": fit_exp(), "erf": fit_erf()}.items():
    print(name, f"{error:.1e}", [float(np.float32(c)) for c in coefficients])
