"""Splits that come as lists: ImageNet-LT's text files and ISIC 2019's CSV files."""

import pytest

from experiments.data.datasets import open_dataset
from experiments.data_config import DataConfig
from experiments.task import open_split
from geometry.errors import DataError


@pytest.fixture
def imagenet(make_tree, tmp_path):
    root = make_tree({"train": {"n02": 3, "n01": 2}, "val": {"n02": 1, "n01": 1}}, root=tmp_path)
    lines = {
        "train": ["train/n02/002.png 1", "train/n01/000.png 0", "train/n02/000.png 1"],
        "val": ["train/n01/001.png 0"],
        "test": ["val/n01/000.png 0", "val/n02/000.png 1"],
    }
    for part, listed in lines.items():
        (root / f"ImageNet_LT_{part}.txt").write_text("\n".join(listed) + "\n")
    return root


def test_imagenets_lists(imagenet):
    data = open_dataset("ImageNet-LT", imagenet)
    assert (data.domains, data.classes) == (("train", "test"), ("n01", "n02"))
    assert data.sizes.tolist() == [[1, 2], [1, 1]]
    assert data.paths == (
        "train/n01/000.png",
        "train/n02/000.png",
        "train/n02/002.png",
        "val/n01/000.png",
        "val/n02/000.png",
    )
    split = open_split(DataConfig(dataset="imagenet_lt", data=imagenet))[0]
    assert (split.sizes["train"], split.sizes["target"]) == (3, 2)


def test_without_a_test_list_validation_is_the_test(imagenet):
    (imagenet / "ImageNet_LT_test.txt").unlink()
    assert open_dataset("ImageNet-LT", imagenet).sizes.tolist() == [[1, 2], [1, 0]]


def test_number_labels_keep_their_order(tmp_path):
    lines = [f"images/{k}-{n}.jpg {k}" for k in range(11) for n in range(2)]
    (tmp_path / "train.txt").write_text("\n".join(lines))
    (tmp_path / "test.txt").write_text("images/x.jpg 10\n")
    data = open_dataset("ImageNet-LT", tmp_path)
    assert data.classes == tuple(f"{k:02d}" for k in range(11))
    assert data.label[-1] == 10


@pytest.mark.parametrize(
    ("line", "said"),
    [("train/n01/000.png", "line 4"), ("train/n01/000.png dog", "line 4"), ("0", "line 4")],
)
def test_a_line_that_says_nothing_is_named(imagenet, line, said):
    with (imagenet / "ImageNet_LT_train.txt").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=said):
        open_dataset("ImageNet-LT", imagenet)


def test_a_test_class_without_training_images_and_two_lists_are_refused(imagenet):
    (imagenet / "ImageNet_LT_test.txt").write_text("val/n01/000.png 7\n")
    with pytest.raises(DataError, match="class '7'"):
        open_dataset("ImageNet-LT", imagenet)
    (imagenet / "my_train.txt").write_text("val/n01/000.png 0\n")
    with pytest.raises(DataError, match=r"one train list.*ImageNet_LT_train.txt, my_train.txt"):
        open_dataset("ImageNet-LT", imagenet)


@pytest.fixture
def isic(make_tree, tmp_path):
    make_tree({"images": {".": 12}}, root=tmp_path, extension="jpg")
    return tmp_path


def one_hot(numbers, columns="MEL,NV,UNK"):
    width = len(columns.split(","))
    rows = [",".join([f"{n:03d}", *("1.0" if k == n % 2 else "0.0" for k in range(width))]) for n in numbers]
    return "\n".join([f"image,{columns}", *rows]) + "\n"


def test_isic_one_hot(isic):
    (isic / "train.csv").write_text(one_hot(range(7)))
    (isic / "val.csv").write_text(one_hot([9]))
    (isic / "test.csv").write_text(one_hot([10, 11]))
    data = open_dataset("ISIC2019", isic)
    assert data.classes == ("MEL", "NV")  # in the order of columns, without one that nothing is of
    assert data.sizes.tolist() == [[4, 3], [1, 1]]
    assert data.paths[0] == "images/000.jpg"
    assert open_split(DataConfig(dataset="isic2019", data=isic))[0].sizes["train"] == 7


def test_isic_labels_and_one_file_alone(isic):
    (isic / "ISIC_2019_Training_GroundTruth.csv").write_text(
        "image_id,label\n" + "".join(f"images/{n:03d}.jpg,{'NV' if n > 3 else 'DF'}\n" for n in range(12))
    )
    (isic / "ISIC_2019_Training_Metadata.csv").write_text("image,age\n000,3\n")
    data = open_dataset("ISIC2019", isic)
    assert data.classes == ("DF", "NV")
    assert data.sizes.tolist() == [[3, 7], [1, 1]]  # a fifth of 4, at least one


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "column 'image'"),
        ("image,label\n999,x\n", "Line 2 .*'999'"),
        ("image,label\n000\n", "2 values in line 2"),
        ("image,A,B\n000,1,1\n", "single 1 in line 2"),
        ("image,A,B\n000,0,x\n", "single 1 in line 2"),
        ("image,label\n", "found none"),
        ("", "no header"),
    ],
)
def test_broken_csv_files(isic, text, said):
    (isic / "train.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        open_dataset("ISIC2019", isic)
