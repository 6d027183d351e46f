"""A small imagined study: results of the shape the analyses give, from planted geometry."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

PACS = ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")
DOMAINS = ("optdigits", "mnist", "printed", "textured")


@dataclass(frozen=True)
class Study:
    """Results of two models on K classes in four domains, the last one held out."""

    k: int
    models: tuple[str, ...] = ("ERM", "NDCL")

    @property
    def classes(self) -> tuple[str, ...]:
        if self.k == 7:
            return PACS
        if self.k <= 10:
            return tuple(f"digit {i}" for i in range(self.k))
        return tuple(f"Object_class_{i:02d}" for i in range(self.k))

    @property
    def shots(self) -> tuple[str, ...]:
        pooled = self.counts().sum(axis=0)
        return tuple("many" if n >= 120 else "few" if n <= 12 else "medium" for n in pooled)

    def rng(self, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.k, purpose])

    def counts(self) -> np.ndarray:
        """``(4, K)``: a long tail, one empty source cell, nothing in the held-out row."""
        profile = 320 * np.exp(-5.5 * np.arange(self.k) / (self.k - 1))
        order = self.rng(0).permutation(self.k)
        shares = np.array([0.25, 0.5, 0.25, 0.0])[:, None]
        counts = np.maximum(1, np.round(shares * profile)).astype(int)
        counts[3] = 0
        counts[0, -1] = 0
        return counts[:, order]

    def images(self) -> dict[str, dict[str, np.ndarray]]:
        rng = self.rng(1)
        result = {}
        for m, domain in enumerate(DOMAINS):
            size = 32 if m else 8
            shade = rng.integers(0, 256, (self.k, 6, size, size, 3)).astype(np.uint8)
            result[domain] = {name: shade[i][: 6 - (m == 2) * (i % 3)] for i, name in enumerate(self.classes)}
        del result["printed"][self.classes[1]]
        result["mnist"][self.classes[2]] = np.zeros((0, 32, 32, 3), np.uint8)
        return result

    def metrics(self, records: int = 400) -> dict[str, list[dict[str, Any]]]:
        rng = self.rng(2)
        result: dict[str, list[dict[str, Any]]] = {}
        for i, model in enumerate(self.models):
            rows: list[dict[str, Any]] = []
            for step in range(records):
                decay = math.exp(-4 * step / records)
                row: dict[str, Any] = {"step": step, "loss/ce": 2 * decay + 0.3 * rng.random()}
                row["loss"] = row["loss/ce"]
                if i:
                    row |= {
                        "loss/contrast": 0.7 - 0.2 * decay + 0.1 * rng.random(),
                        "loss/alignment": 1.6 + 0.5 * decay,
                    }
                    row["loss"] += 0.1 * (row["loss/contrast"] + row["loss/alignment"])
                rows.append(row)
                if step % (records // 10) == 0:
                    level = 0.9 - 0.7 * decay + 0.02 * i
                    rows.append(
                        {
                            "step": step,
                            "validation/balanced_accuracy": level,
                            "target/accuracy": max(0.0, level - 0.2),
                            "target/balanced_accuracy": max(0.0, level - 0.3),
                            "target/many": level - 0.1,
                            "target/few": None if step == 0 else max(0.0, level - 0.6),
                        }
                    )
            result[model] = rows
        return result

    def gram(self) -> dict[str, dict[str, Any]]:
        rng = self.rng(3)
        etf = (np.eye(self.k) - 1 / self.k) / math.sqrt(self.k - 1)
        result = {}
        for model in self.models:
            noise = rng.normal(size=(self.k, 60))
            learned = etf + 0.25 * etf.max() * (noise @ noise.T / 60 - np.eye(self.k))
            result[model] = {"learned": learned.tolist(), "optimal": etf.tolist(), "error": _around(0.31, 0.04)}
        absent = np.array(result["ERM"]["learned"], dtype=object)
        absent[-2, :] = absent[:, -2] = None
        result["ERM"]["learned"] = absent.tolist()
        return result

    def plane(self) -> dict[str, dict[str, Any]]:
        rng = self.rng(4)
        angle = 2 * np.pi * np.arange(self.k) / self.k
        optimal = np.c_[np.cos(angle), np.sin(angle)] * np.linspace(1.0, 0.6, self.k)[:, None]
        tail = np.array([group == "few" for group in self.shots])
        result = {}
        for model in self.models:
            learned = optimal + 0.15 * rng.normal(size=optimal.shape)
            learned[tail] = 0.1 * learned[tail] + np.array([-0.3, -0.2])
            result[model] = {"learned": learned.tolist(), "optimal": optimal.tolist(), "share": 0.52}
        result["NDCL"]["learned"][0] = [None, None]
        return result

    def margins(self) -> dict[str, dict[str, Any]]:
        delta = np.linspace(-1, 1, 101)
        result = {}
        for i, model in enumerate(self.models):
            groups: dict[str, Any] = {}
            for group, centre in (("few", -0.3), ("many", 0.6), ("all", 0.3)):
                curve = 1 / (1 + np.exp(-6 * (delta - centre - 0.1 * i)))
                groups[group] = {
                    "estimate": curve.tolist(),
                    "low": (curve - 0.03).clip(0).tolist(),
                    "high": (curve + 0.03).clip(max=1).tolist(),
                }
            groups["medium"] = None if i else groups["all"]["low"]
            result[model] = {"delta": delta.tolist(), "groups": groups}
        return result

    def confidence(self, n: int = 1800) -> dict[str, dict[str, dict[str, Any]]]:
        rng = self.rng(5)
        result: dict[str, dict[str, dict[str, Any]]] = {}
        for model in self.models:
            result[model] = {}
            for part, shift in (("source", 1.5), ("target", 0.3)):
                distance = rng.normal(shift, 1.2, n)
                groups = rng.choice(["many", "medium", "few"], n, p=[0.7, 0.22, 0.08])
                result[model][part] = {
                    "confidence": (1 / (1 + np.exp(-2 * distance + 0.8 * rng.normal(size=n)))).tolist(),
                    "distance": distance.tolist(),
                    "groups": groups.tolist(),
                    "spearman": _around(0.912, 0.011),
                }
        del result["NDCL"]["target"]
        return result

    def gradient(self) -> dict[str, dict[str, Any]]:
        rng = self.rng(6)
        pooled = self.counts().sum(axis=0)
        anchors = pooled / pooled.sum()
        result = {}
        for i, model in enumerate(self.models):
            share = anchors ** (0.6 + 0.3 * i) * rng.uniform(0.8, 1.25, self.k)
            share /= share.sum()
            gradient = [_around(float(s), 0.1 * float(s)) for s in share]
            gradient[int(pooled.argmin())] = None
            result[model] = {"anchors": anchors.tolist(), "gradient": gradient}
        return result

    def collapse(self) -> dict[str, dict[str, Any]]:
        result = {}
        for i, model in enumerate(self.models):
            scale = 1.0 + 0.3 * i
            groups = {"all": 0.2, "many": 0.1, "medium": 0.3, "few": 0.9}
            result[model] = {
                "nc1": {g: _around(v * scale, 0.1 * v) for g, v in groups.items()},
                "cdnv": {g: _around(0.01 * v * scale, 0.001 * v) for g, v in groups.items()},
                "nc2_norms": _around(0.2 * scale, 0.02),
                "nc2_angles": _around(0.1 * scale, 0.02),
                "minority_cosine": {"few": _around(0.6 - 0.2 * i, 0.05), "medium": None},
                "rank": 6.2 + i,
                "nc4": {g: _around(0.99 - 0.02 * v, 0.003) for g, v in groups.items()},
            }
        result["ERM"]["cdnv"]["few"] = {"estimate": None, "low": None, "high": None}
        return result

    def bound(self) -> dict[str, dict[str, Any]]:
        result = {}
        for i, model in enumerate(self.models):
            result[model] = {
                "source_risk": _around(0.041 + 0.01 * i, 0.006),
                "balanced_risk": _around(0.152 - 0.03 * i, 0.012),
                "margin_mass": _around(0.203, 0.01),
                "proxy_a": _around(1.62 - 0.2 * i, 0.05),
                "posterior": _around(0.31, 0.02) | {"null": 0.12},
                "prior_shift": 0.284,
                "target_risk": {"estimate": None, "low": None, "high": None},
            }
        return result

    def embedding(self, n: int = 600) -> dict[str, dict[str, Any]]:
        rng = self.rng(7)
        angle = 2 * np.pi * np.arange(self.k) / self.k
        result = {}
        for i, model in enumerate(self.models):
            labels = rng.integers(0, self.k, n)
            domains = rng.integers(0, 4, n)
            centres = 6 * np.c_[np.cos(angle), np.sin(angle)]
            points = centres[labels] + rng.normal(size=(n, 2)) + (domains == 3)[:, None] * 1.5
            result[model] = {
                "coordinates": points.tolist(),
                "labels": labels.tolist(),
                "domains": domains.tolist(),
                "method": "umap" if i else "pca",
            }
        return result


def _around(estimate: float, half: float) -> dict[str, float]:
    return {"estimate": estimate, "low": estimate - half, "high": estimate + half}


@pytest.fixture(params=[7, 10, 65], ids=lambda k: f"K={k}")
def study(request: pytest.FixtureRequest) -> Study:
    return Study(request.param)


@pytest.fixture
def pacs() -> Study:
    return Study(7)


@pytest.fixture
def fits():
    """Check that nothing of a figure lies outside the page."""

    def check(figure, width):
        figure.draw_without_rendering()
        box = figure.get_tightbbox()
        across, up = figure.get_size_inches()
        assert across == pytest.approx(width)
        assert box.x0 >= -0.01
        assert box.y0 >= -0.01
        assert box.x1 <= across + 0.01
        assert box.y1 <= up + 0.01

    return check


@pytest.fixture
def marked():
    """Find the artists of an axes that carry a gid."""

    def find(axes, gid):
        return [artist for artist in axes.get_children() if artist.get_gid() == gid]

    return find
