"""What every refusal has: one sentence and a stable exit code."""

USAGE, DATA = 2, 3
TREE = ("--dataset", "mine", "--test-domain", "night", "--setting", "balanced", "--validation", "2")


def one_sentence(err):
    """The last line is the one message; progress may stand above it."""
    assert "Traceback" not in err
    *above, message = err.rstrip().splitlines()
    assert message.startswith("tailgeom: ")
    assert not [line for line in above if line.startswith("tailgeom: ")]
    assert message.endswith((".", ")", "kept"))
    return message


def train(tailgeom, tmp_path, *words):
    return tailgeom("train", "--out", tmp_path / "run", "--steps", "2", "--device", "cpu", *words)
