import pytest
import yaml

from tfadvseg.config import DEFAULT_STEPS, Config, parse_assignment, read_settings
from tfadvseg.errors import InputError


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"t_semi": 7}, ["t_semi", "at most 1", "7"]),
        ({"steps": 0}, ["steps", "at least 1"]),
        ({"learning_rate": 0}, ["learning_rate", "above 0"]),
        ({"learning_rate": float("inf")}, ["learning_rate"]),
        ({"lambda_advv": 1}, ["lambda_advv", "did you mean lambda_adv?"]),
        ({"recipe": "papper"}, ["recipe", "did you mean paper?"]),
        ({"steps": "many"}, ["steps", "integer", "'many'"]),
        ({"steps": True}, ["steps", "integer"]),
        ({"augment": ["flip", "spin"]}, ["augment", "spin"]),
        ({"augment": "flips"}, ["flip, affine, elastic, gamma, noise, written as [flip,affine]"]),
        ({"steps": 5, "epochs": 5}, ["steps and epochs"]),
        ({"labelled_patients": 2, "labelled_fraction": 0.5}, ["labelled_fraction"]),
        ({"window": [5, 5]}, ["window", "low < high"]),
        ({"window": "widest"}, ["window", "percentile"]),
        ({"discriminator_strides": [2, 2]}, ["discriminator_strides", "6"]),
        ({"classes": ["background"]}, ["classes", "2 to 255"]),
        ({"classes": ["background", "a", "a"]}, ["classes", "names that differ"]),
        ({"classes": ["background", " "]}, ["classes", "none of them blank"]),
        ({"classes": ["background", "a"], "ignore_label": 1}, ["ignore_label", "1, which is a"]),
        ({"window": [0, float("inf")]}, ["window: expected a finite number, received inf"]),
    ],
)
def test_refuses_what_is_out_of_range_in_one_line(settings, words):
    with pytest.raises(InputError) as error:
        Config.from_mapping(settings)
    assert "\n" not in str(error.value)
    assert all(word in str(error.value) for word in words), error.value


def test_yaml_round_trip_gives_the_same_configuration():
    config = Config(crop=[64, 48], window=[0, 255], val_patients=["a", "b"], learning_rate="1e-3")
    assert Config.from_mapping(yaml.safe_load(config.to_yaml())) == config


def test_patients_that_look_like_numbers_are_names():
    assert Config(test_patients=[1006, 1007]).test_patients == ("1006", "1007")


def test_epochs_are_passes_over_the_labelled_images():
    assert Config(epochs=3, batch_size=4).total_steps(9) == 9
    assert Config().total_steps(9) == Config().total_steps() == DEFAULT_STEPS
    with pytest.raises(ValueError, match="number of labelled images"):
        Config(epochs=3).total_steps()


def test_assignments_are_read_as_yaml():
    assert parse_assignment("discriminator_filters=[4, 8]") == ("discriminator_filters", [4, 8])
    assert parse_assignment("crop=null") == ("crop", None)
    with pytest.raises(InputError, match="name=value"):
        parse_assignment("steps")


@pytest.mark.parametrize("text", ["a: [", "- 1", "just words"])
def test_refuses_a_file_that_is_no_mapping(tmp_path, text):
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=r"config\.yaml"):
        read_settings(file)
