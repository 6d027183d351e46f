"""How often a check decides on artifacts whose truth sits exactly at its threshold, where every decision is wrong.

python -m benchmarks.false_positives                                    # every check, 500 nulls: minutes each
python -m benchmarks.false_positives --nulls 500 --check margin_scaling
"""

import argparse
import zlib
from collections import Counter
from collections.abc import Iterator

import numpy as np

from benchmarks.timing import show
from geometry.checks import CHECKS
from tests.geometry.checks.planted import NULLS

LEVEL = 0.95


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """The 95% interval of a proportion (Wilson 1927)."""
    share, slack = hits / n, z * z / n
    middle = (share + slack / 2) / (1 + slack)
    half = z * np.sqrt(share * (1 - share) / n + slack / (4 * n)) / (1 + slack)
    return middle - half, middle + half


def rows(check: str, nulls: int, resamples: int, seed: int) -> Iterator[tuple[object, ...]]:
    for name, null in NULLS[check].items():
        counts: Counter[tuple[str, str]] = Counter()
        for draw in range(nulls):
            rng = np.random.default_rng([seed, zlib.crc32(f"{check}/{name}".encode()), draw])
            found = CHECKS[check](null.make(rng), rng=rng, resamples=resamples, level=LEVEL)
            counts.update((v.subject, v.verdict) for v in found)
        for subject in null.subjects:
            holds, breaks = counts[subject, "holds"], counts[subject, "does not hold"]
            low, high = wilson(holds + breaks, nulls)
            share = (holds + breaks) / nulls
            yield check, subject, name, nulls, holds, breaks, share, f"[{low:.3f}, {high:.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nulls", type=int, default=500)
    parser.add_argument("--check", choices=sorted(NULLS), nargs="*", default=sorted(NULLS))
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    header = ("check", "subject", "null", "nulls", "holds", "does not hold", "false positives", "95% interval")
    found = [row for check in given.check for row in rows(check, given.nulls, given.resamples, given.seed)]
    show(f"Decisions at the threshold, intervals of {100 * LEVEL:.0f}%", header, found)


if __name__ == "__main__":
    main()
