"""The made-up sweep as a folder."""

import csv
import json
from itertools import product

import pytest

from tests.experiments.table.made_up import DOMAINS, ROWS, SEEDS, numbers


@pytest.fixture
def sweep(tmp_path):
    """Three rows, three domains, two draws, four seeds; one run failed and one is missing."""
    folder = tmp_path / "sweep"
    folder.mkdir()
    rows, plan = [], []
    for row, domain, draw, seed in product(ROWS, DOMAINS, (0, 1), SEEDS):
        labels = {"dataset": "PACS", "setting": "Duality", "held_out": domain, "algorithm": row, "variant": row}
        labels |= {"draw": draw, "seed": seed, "options": json.dumps({"lr": draw})}
        path = f"runs/{row}-{domain}-{draw}-{seed}"
        state = {"runs/ldam-art-1-0": "failed", "runs/ldam-art-1-1": "missing"}.get(path, "done")
        plan.append(labels | {"path": path, "status": state, "error": "It broke." if state == "failed" else None})
        if state == "done":
            rows.append(labels | numbers(row, domain, draw, seed) | {"path": path, "data": f"{domain}{seed}"})
    with (folder / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows([{k: "" if v != v else v for k, v in row.items()} for row in rows])
    (folder / "sweep.json").write_text(json.dumps({"runs": plan}))
    manifest = {
        "commit": "abc123",
        "hardware": {"machine": "m", "cpu_count": 2, "gpu": None},
        "versions": {"torch": "2"},
    }
    (folder / "runs" / "erm-art-0-0").mkdir(parents=True)
    (folder / "runs" / "erm-art-0-0" / "manifest.json").write_text(json.dumps(manifest))
    return folder
