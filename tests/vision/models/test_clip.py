import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPTokenizer

from lightning_abkd.models import causal_lm_from_config, clip_classifier, prompted_clip
from lightning_abkd.vision.models._clip import _text_features
from tests.vision.models._clips import write_clip

NAMES = ["cat", "dog", "traffic_light"]
IMAGES = torch.linspace(-1, 1, 4 * 3 * 8 * 8).reshape(4, 3, 8, 8)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    write_clip(folder, projection=7)
    return str(folder)


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    folder = tmp_path_factory.mktemp("student")
    write_clip(folder, projection=6)
    return str(folder)


def prompted(student, teacher, **options):
    return prompted_clip(student, teacher, NAMES, **{"tokens": 2, "depth": 3} | options)


def test_logits_of_the_classifier_are_those_of_clip(tmp_path):
    clip = write_clip(tmp_path)
    prompts = [f"a photo of a {name}." for name in ("cat", "dog", "traffic light")]
    tokens = CLIPTokenizer.from_pretrained(tmp_path)(prompts, padding=True, return_tensors="pt")
    expected = clip(**tokens, pixel_values=IMAGES).logits_per_image
    torch.testing.assert_close(clip_classifier(str(tmp_path), NAMES).eval()(IMAGES), expected)


def test_several_templates_are_averaged(teacher):
    one, two = (clip_classifier(teacher, NAMES, [x]).text_features for x in ("{}.", "a {}."))
    both = clip_classifier(teacher, NAMES, ["{}.", "a {}."]).text_features
    torch.testing.assert_close(both, torch.nn.functional.normalize(one + two, dim=-1))


def test_text_features_are_computed_once(teacher, student):
    _text_features.cache_clear()
    clip_classifier(teacher, NAMES)
    prompted(student, teacher)
    assert _text_features.cache_info().misses == 1


def test_the_student_has_the_teachers_classes(teacher, student):
    network = prompted(student, teacher)
    assert network(IMAGES).shape == (4, 3)
    assert network.forward_features(IMAGES).shape == (4, 7)
    torch.testing.assert_close(network.text_features, clip_classifier(teacher, NAMES).text_features)


def test_only_prompts_and_projector_train(teacher, student):
    network = prompted(student, teacher)
    network(IMAGES).log_softmax(-1)[:, 0].sum().backward()
    trained = {name.split(".")[0] for name, x in network.named_parameters() if x.grad is not None}
    assert trained == {name.split(".")[0] for name, x in network.named_parameters() if x.requires_grad}
    assert trained == {"prompts", "projector"}
    assert network.prompts.grad.flatten(1).norm(dim=1).gt(0).all()


def test_a_training_batch_of_one_image_is_explained_and_one_to_classify_is_not(teacher, student):
    network = prompted(student, teacher)
    with pytest.raises(ValueError, match="at least two images for batch normalisation.*`drop_last: true`"):
        network.train()(IMAGES[:1])
    assert network.eval()(IMAGES[:1]).shape == (1, 3)


def test_each_layer_gets_its_own_prompts_in_the_place_of_the_last_ones(teacher, student):
    network, lengths = prompted(student, teacher, depth=2), []
    for layer in network.vision.encoder.layers:
        layer.register_forward_hook(lambda module, inputs, output: lengths.append(inputs[0][0, -2:]))
    network(IMAGES)
    # the first layer's have passed a layer norm, the third layer has none of its own
    torch.testing.assert_close(lengths[0], network.vision.pre_layrnorm(network.prompts[0]))
    torch.testing.assert_close(lengths[1], network.prompts[1])
    assert not torch.allclose(lengths[2], network.prompts[1])


def test_weights_serve_other_classes(teacher, student):
    network = prompted(student, teacher)
    other = prompted_clip(student, teacher, ["a", "b", "c", "d"], tokens=2, depth=3)
    other.load_state_dict(network.state_dict())
    assert other(IMAGES).shape == (4, 4)


def test_class_names_may_be_a_file(teacher, tmp_path):
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    assert clip_classifier(teacher, str(tmp_path / "names.txt"))(IMAGES).shape == (4, 2)


@pytest.mark.parametrize("names", [[], ["cat", ""]])
def test_missing_class_names_are_an_error(teacher, names):
    with pytest.raises(ValueError, match="`class_names` should name every class, which CLIP knows by its name alone"):
        clip_classifier(teacher, names)


@pytest.mark.parametrize("templates", [[], ["a photo"]])
def test_a_template_without_a_place_for_the_name_is_an_error(teacher, templates):
    with pytest.raises(ValueError, match=r"`templates` should be sentences with \{\} for the name"):
        clip_classifier(teacher, NAMES, templates)


@pytest.mark.parametrize(
    ("option", "found"), [({"tokens": 0}, "tokens = 0"), ({"depth": 4}, "depth = 4`. The model has no more layers")]
)
def test_prompts_fit_the_network(teacher, student, option, found):
    with pytest.raises(ValueError, match=f"Found `{found}"):
        prompted(student, teacher, **option)


def test_files_that_lack_weights_are_refused(teacher, tmp_path):
    shutil.copytree(teacher, tmp_path, dirs_exist_ok=True)
    weights = load_file(path := tmp_path / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ValueError, match="Found 1 missing .visual_projection.weight"):
        clip_classifier(str(tmp_path), NAMES)


def test_a_model_that_is_no_clip_is_named(tmp_path):
    causal_lm_from_config("gpt2", {"n_layer": 1, "n_embd": 8, "n_head": 2, "vocab_size": 16}).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="should be a CLIP. Found a model of the type 'gpt2'"):
        clip_classifier(str(tmp_path), NAMES)
    with pytest.raises(FileNotFoundError, match=r"Found no folder './nowhere'"):
        clip_classifier("./nowhere", NAMES)
