"""Bad input of views, unlabelled samples and cosine classifiers: one clear sentence and exit code 2 or 3."""

import pytest

from tests.one_sentence import DATA, USAGE, one_sentence, train

TREE = ("--dataset", "mine", "--test-domain", "night", "--setting", "balanced", "--validation", "2")
SMALL = ("--image-size", "16", "--batch-size", "4")
FIXMATCH = ("--algorithm", "fixmatch", "--labels", "2")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--labels", "-1"), "Expected --labels of 0 (all) or more, got -1"),
        (("--classifier", "square"), "Unknown --classifier 'square'; known: linear, cosine"),
        (("--projection-norm", "layer"), "Unknown --projection-norm 'layer'; known: none, batch"),
        (("--projection-norm", "batch"), "Expected --projection beside --projection-norm batch"),
        (("--view-copies", "0"), "Expected --view-copies of 1 or more, got 0"),
        (("--augment", "unknown"), "weak, strong, contrast"),
        ((*FIXMATCH, "--unlabelled-batch-size", "-1"), "Expected --unlabelled-batch-size of 0"),
        ((*FIXMATCH, "--set", "threshold=2"), "Expected a threshold in [0, 1], got 2"),
        ((*FIXMATCH, "--set", "fixclr_level=pixel"), "Expected sample, class or domain-class"),
        (
            (*FIXMATCH, "--set", "fixclr=0.1", "fixclr_level=class", "fixclr_other_domains=true"),
            "Expected fixclr_level=sample or domain-class beside fixclr_other_domains",
        ),
        (("--algorithm", "ecl", "--set", "views=-1"), "Expected views of 0 or more, got -1"),
    ],
)
def test_values_out_of_range_spoil_no_run_directory(tailgeom, tmp_path, words, said):
    code, _, err = train(tailgeom, tmp_path, *words)
    assert code == USAGE
    assert said in one_sentence(err)
    assert not (tmp_path / "run" / "checkpoint").exists()


@pytest.mark.parametrize("algorithm", ["fixmatch", "freematch"])
@pytest.mark.parametrize("labels", [(), ("--labels", "1000")])
def test_semi_supervised_algorithms_want_unlabelled_samples(tailgeom, tmp_path, tiny_tree, algorithm, labels):
    words = (*TREE, *SMALL, "--data", tiny_tree, *labels, "--algorithm", algorithm)
    code, _, err = train(tailgeom, tmp_path, *words)
    assert code == USAGE
    message = one_sentence(err)
    assert "Expected unlabelled training samples" in message
    assert "--labels" in message


def test_more_labels_than_there_are_label_every_sample(tailgeom, tmp_path, tiny_tree):
    code, _, err = train(tailgeom, tmp_path, *TREE, *SMALL, "--data", tiny_tree, "--labels", "1000")
    assert code == 0, err
    assert "unlabelled" not in (tmp_path / "run" / "splits.csv").read_text()


@pytest.mark.parametrize("given", [0, 64])
def test_prototypes_want_projections_as_long_as_the_rows(tailgeom, tmp_path, tiny_tree, given):
    words = ("--algorithm", "ecl", "--projection", given, "--set", "contrast_space=projections")
    code, _, err = train(tailgeom, tmp_path, *TREE, *SMALL, "--data", tiny_tree, *words)
    assert code == USAGE
    assert "Expected --projection 128 for contrast_space=projections, as long as" in one_sentence(err)
    assert f"got {given}." in err


def test_a_projection_that_fixclr_asks_for(tailgeom, tmp_path, tiny_tree):
    words = (*FIXMATCH, "--set", "fixclr=0.1", "fixclr_space=projections")
    code, _, err = train(tailgeom, tmp_path, *TREE, *SMALL, "--data", tiny_tree, *words)
    assert code == USAGE
    assert "add --projection" in one_sentence(err)


@pytest.mark.parametrize(("algorithm", "options"), [("ecl", ()), ("supcon", ("views=2",)), ("bcl", ("views=1",))])
def test_features_have_one_view_and_the_sentence_says_what_works(tailgeom, tmp_path, trained, algorithm, options):
    words = ("--features", trained / "artifact", "--algorithm", algorithm, "--batch-size", "8")
    code, _, err = train(tailgeom, tmp_path, *words, *(("--set", *options) if options else ()))
    assert code == USAGE
    message = one_sentence(err)
    assert "Features of an artifact have one view" in message
    assert "--set views=0" in message
    code, _, err = train(tailgeom, tmp_path / "one", *words, "--set", "views=0")
    assert code == 0, err


def test_features_cannot_be_weak_and_strong(tailgeom, tmp_path, trained):
    words = ("--features", trained / "artifact", "--setting", "balanced", *FIXMATCH)
    code, _, err = train(tailgeom, tmp_path, *words)
    assert code == USAGE
    message = one_sentence(err)
    assert "'weak' asks for augmented images" in message
    assert "views=0" not in message


def test_logistic_regression_fits_no_cosine_classifier(tailgeom, tmp_path, trained):
    words = ("--features", trained / "artifact", "--algorithm", "logistic", "--classifier", "cosine")
    code, _, err = train(tailgeom, tmp_path, *words)
    assert code == USAGE
    assert "leave out --classifier cosine" in one_sentence(err)


def test_unlabelled_samples_of_a_run_that_has_none(tailgeom, trained):
    code, _, err = tailgeom("measure", trained, "--split", "unlabelled")
    assert code == USAGE
    assert "unlabelled" in one_sentence(err)


def test_a_search_that_is_nowhere(tailgeom, tmp_path):
    data = "datasets:\n  - {dataset: digits, held_out: [textured], settings: [balanced]}\n"
    spec = data + "algorithms: [erm]\nseeds: 1\nchosen_from: nowhere\ntrain: {steps: 2, device: cpu}\n"
    (tmp_path / "spec.yaml").write_text(spec)
    code, _, err = tailgeom("sweep", tmp_path / "spec.yaml", "--out", tmp_path / "sweep")
    assert code == DATA
    assert "nowhere" in one_sentence(err)
    assert not (tmp_path / "sweep" / "runs").exists()


def test_draws_beside_choices(tailgeom, tmp_path):
    (tmp_path / "spec.yaml").write_text("datasets: [digits]\nalgorithms: [erm]\ndraws: 3\nchosen_from: here\n")
    code, _, err = tailgeom("sweep", tmp_path / "spec.yaml", "--out", tmp_path / "sweep")
    assert code == USAGE
    assert "Expected draws or chosen_from" in one_sentence(err)
