import pytest

from experiments.data.folders import PassedOver, passed_over, read_tree
from geometry.errors import DataError


def test_order_and_labels_are_those_of_torchvision(make_tree):
    datasets = pytest.importorskip("torchvision.datasets")
    root = make_tree({"b": {"Zebra": 2, "ant": 3, "10": 1}, "A": {"Zebra": 1, "ant": 2, "10": 4}}, extension="JPEG")
    (root / "b" / "ant" / "notes.txt").write_text("not an image")
    (root / "b" / "ant" / "Upper.PNG").write_bytes(b"")
    data = read_tree(root)
    assert data.domains == ("A", "b")
    for d, domain in enumerate(data.domains):
        theirs = datasets.ImageFolder(root / domain)
        assert list(data.classes) == theirs.classes
        ours = [(str(root / p), k) for p, m, k in zip(data.paths, data.domain, data.label, strict=True) if m == d]
        assert ours == [(path, label) for path, label in theirs.samples]


def test_hidden_entries_are_passed_over(make_tree):
    root = make_tree({"photo": {"dog": 2}})
    (root / ".git" / "dog").mkdir(parents=True)
    (root / "photo" / ".cache").mkdir()
    (root / "photo" / "dog" / "._000.png").write_bytes(b"junk")
    (root / "readme.txt").write_text("a file beside the domains")
    data = read_tree(root)
    assert data.paths == ("photo/dog/000.png", "photo/dog/001.png")
    assert data.name == "tree"


@pytest.mark.parametrize("missing_folder", [True, False])
def test_a_domain_that_lacks_a_class_is_named(make_tree, missing_folder):
    root = make_tree(
        {"photo": {"dog": 2, "house": 1}, "sketch": {"dog": 2} if missing_folder else {"dog": 2, "house": 0}}
    )
    with pytest.raises(DataError, match=r"'sketch' has no image of class 'house'"):
        read_tree(root)
    assert read_tree(root, allow_missing=True).sizes.tolist() == [[2, 1], [2, 0]]


def test_what_is_no_tree_is_refused(make_tree, tmp_path):
    with pytest.raises(DataError, match="found nothing there"):
        read_tree(tmp_path / "absent")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="found a file"):
        read_tree(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no folder"):
        read_tree(tmp_path / "empty")
    with pytest.raises(DataError, match="no image"):
        read_tree(make_tree({"photo": {"dog": 0}}, root=tmp_path / "hollow"))
    # The folder above a data set: its domains look like classes, but hold no image themselves.
    with pytest.raises(DataError, match="no image"):
        read_tree(make_tree({"photo": {"dog": 1}}, root=tmp_path / "above" / "PACS").parent)


def test_a_domain_without_images_is_named_even_where_classes_may_miss(make_tree):
    root = make_tree({"photo": {"dog": 1}, "sketch": {"dog": 0}})
    with pytest.raises(DataError, match=r"sketch holds no image"):
        read_tree(root, allow_missing=True)


def test_expected_domains_are_found_by_folded_name_and_no_others(make_tree):
    root = make_tree({"Real_World": {"a": 1}, "art": {"a": 1}, "__MACOSX": {"b": 1}})
    data = read_tree(root, expected_domains=("Art", "Real World"))
    assert data.domains == ("Real_World", "art")
    assert data.classes == ("a",)
    with pytest.raises(DataError, match=r"'Clipart'.*art"):
        read_tree(root, expected_domains=("Art", "Clipart"))


def test_what_is_passed_over_is_counted(make_tree):
    root = make_tree({"photo": {"dog": 2, "house": 0}, "sketch": {"dog": 1, "house": 0, "zebu": 0}})
    for name in ("a.gif", "b.GIF", "readme"):
        (root / "sketch" / "dog" / name).write_text("")
    (root / "photo" / "dog" / ".DS_Store").write_text("")
    found = passed_over(read_tree(root))
    assert found == PassedOver(("photo/house", "sketch/house", "sketch/zebu"), {".gif": 2, "without ending": 1})
    assert found.words().startswith("Passed over: 3 class folders without images (photo/house")
    assert passed_over(read_tree(make_tree({"photo": {"dog": 1}}, root=root.parent / "whole"))).words() == ""


def test_accepted_kinds_and_the_option_are_named(make_tree, tmp_path):
    with pytest.raises(DataError, match=r"\.jpg.*\.webp.*no image"):
        read_tree(make_tree({"photo": {"dog": 2}}, extension="gif"))
    with pytest.raises(DataError, match="--allow-missing"):
        read_tree(make_tree({"photo": {"dog": 2, "cat": 1}, "sketch": {"dog": 2}}, root=tmp_path / "lacking"))
