"""One's own image tree: what it is called, what is said of trees of one domain and of files that are passed over."""

import json
import shutil

import pytest

from experiments.config import RunConfig
from experiments.data_config import DataConfig, data_config
from tests.one_sentence import DATA, USAGE, one_sentence


@pytest.fixture
def one_domain(tiny_tree):
    for domain in ("day", "dusk"):
        shutil.rmtree(tiny_tree / domain)
    return tiny_tree


def test_a_tree_of_one_domain_says_how_it_is_given(tailgeom, one_domain):
    for more in ((), ("--test-domain", "night")):
        code, _, err = tailgeom("data", "split", "--dataset", "mine", "--data", one_domain, *more)
        assert code == DATA
        assert "mine has one domain, 'night'" in one_sentence(err)
        assert "root/<class>/<image>" in err
    assert tailgeom("data", "inspect", one_domain)[0] == 0
    code, out, err = tailgeom("data", "split", "--data", one_domain / "night", "--json")  # what the sentence asks for
    assert code == 0, err
    assert json.loads(out)["held_out"] == "test"


def test_ones_own_tree_is_called_like_its_folder(tailgeom, tiny_tree):
    code, out, _ = tailgeom("data", "inspect", tiny_tree, "--json")
    assert code == 0
    assert json.loads(out)["dataset"] == "tree"
    code, out, _ = tailgeom("data", "split", "--data", tiny_tree, "--test-domain", "night", "--json")
    assert code == 0
    assert json.loads(out)["dataset"] == "tree"
    code, _, err = tailgeom("data", "split", "--data", tiny_tree)
    assert code == USAGE
    assert "day, dusk, night" in one_sentence(err)
    assert json.loads(tailgeom("data", "inspect", "--json")[1])["dataset"] == "digits"


def test_a_configuration_says_the_name_and_one_that_says_it_keeps_it(tiny_tree):
    own = RunConfig(data=DataConfig(data=tiny_tree)).to_dict()["data"]
    assert own["dataset"] == "tree"
    assert own["test_domain"] == ""
    assert own == RunConfig(data=DataConfig(data=tiny_tree, dataset="tree")).to_dict()["data"]
    earlier = own | {"dataset": "digits", "test_domain": "textured"}  # as earlier versions saved it
    assert RunConfig(data=data_config(earlier)).to_dict()["data"] == earlier
    embedded = RunConfig().to_dict()["data"]
    assert (embedded["dataset"], embedded["test_domain"]) == ("digits", "textured")


def test_inspect_names_what_it_passed_over(tailgeom, tiny_tree):
    (tiny_tree / "day" / "ox").mkdir()
    (tiny_tree / "day" / "cat" / "moving.gif").write_text("")
    code, out, _ = tailgeom("data", "inspect", tiny_tree)
    assert code == 0
    assert "1 class folder without images (day/ox); 1 file of another kind (.gif)" in out
    _, out, _ = tailgeom("data", "inspect", tiny_tree, "--json")
    assert json.loads(out)["passed_over"] == {"empty": ["day/ox"], "others": {".gif": 1}}
