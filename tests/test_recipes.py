"""How data that has a name, or none, is trained: epochs, warm-up, who is left out."""

from edge_rnn.export.recipes import NAMED, open_dataset
from test_train import rhythms


def test_few_recordings_get_the_epochs_they_need_and_named_sets_keep_theirs():
    data = rhythms()
    whole = open_dataset(data, {"window": "32", "hop": "16"})
    crops = len(whole.train.windows(32, 16)[0]) // whole.recipe.batch
    assert 1000 <= whole.recipe.epochs * crops < 1000 + crops
    assert whole.recipe.warmup_epochs == whole.recipe.epochs / 30
    assert open_dataset(data, {"window": "32", "hop": "16", "batch": "4"}).recipe.epochs == 30
    assert open_dataset(data, {"epochs": "7"}).recipe.epochs == 7
    assert {name: recipe.epochs for name, recipe in NAMED.items()} == {"hapt": 30, "watch": 20}


def test_people_held_back_are_on_no_side():
    dataset = open_dataset(rhythms(), {"window": "32", "held_back": "1,3"})
    assert {*dataset.train.subjects, *dataset.validation.subjects} == {"0", "2", "4"}
