import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadvseg.models import AdversarialSegmenter, Discriminator, UNet

CLASSES, IGNORED = 3, 255
SUPERVISED = {"loss", "ce_loss", "adv_loss", "d_loss", "d_real", "d_fake_labelled"}
ALL = SUPERVISED | {"adv_loss_unlabelled", "semi_loss", "kept", "d_fake_unlabelled"}
EVERY_TERM = {"lambda_adv": 0.5, "lambda_adv_unlabelled": 0.3, "lambda_semi": 0.7}


@pytest.fixture
def rng():
    return np.random.default_rng(23)


@pytest.fixture
def batch(rng):
    """Two labelled images, a fifth of their pixels ignored, and three unlabelled ones."""
    images, unlabelled = rng.random((2, 16, 16, 1)), rng.random((3, 16, 16, 1))
    masks = rng.integers(0, CLASSES, (2, 16, 16))
    masks[rng.random(masks.shape) < 0.2] = IGNORED
    return as_batch(images, masks, unlabelled)


def as_batch(images, masks, unlabelled):
    images, unlabelled = (
        None if x is None else tf.constant(x, tf.float32) for x in (images, unlabelled)
    )
    return (images, tf.constant(masks, tf.int32)), unlabelled


def make(norm="instance", d=True, s_optimizer=None, d_optimizer=None, **settings):
    """The same weights each time; plain SGD, so that a step is the gradient."""
    keras.utils.set_random_seed(1)
    segmenter = UNet(CLASSES, 1, base_filters=4, depth=2, norm=norm)
    discriminator = Discriminator(CLASSES, (4, 8)) if d else None
    model = AdversarialSegmenter(segmenter, discriminator, **settings)
    model.compile(
        s_optimizer or keras.optimizers.SGD(0.1),
        (d_optimizer or keras.optimizers.SGD(0.1)) if d else None,
    )
    return model


def step(model, data):
    """One step from a clean start of the means, as numbers."""
    model.reset_metrics()
    return {name: float(value) for name, value in model.train_step(data).items()}


def weights(network):
    return [variable.numpy() for variable in network.variables]


def same(first, second, **tolerances):
    assert len(first) == len(second)
    return all(
        np.allclose(a, b, **(tolerances or {"rtol": 0, "atol": 0}))
        for a, b in zip(first, second, strict=True)
    )


def after_a_step(data, network="segmenter", **settings):
    """A network's weights after one step."""
    model = make(**settings)
    model.train_step(data)
    return weights(getattr(model, network))


# === Each update moves its own network ===


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_update_of_d_leaves_s_unchanged(batch, norm):
    model = make(norm, s_optimizer=keras.optimizers.SGD(0.0), **EVERY_TERM)
    s, d = (
        [v.numpy() for v in n.trainable_variables] for n in (model.segmenter, model.discriminator)
    )
    model.train_step(batch)
    assert same([v.numpy() for v in model.segmenter.trainable_variables], s)
    assert not same(weights(model.discriminator), d)


def test_update_of_s_leaves_d_unchanged(batch):
    model = make(d_optimizer=keras.optimizers.SGD(0.0), **EVERY_TERM)
    s, d = weights(model.segmenter), weights(model.discriminator)
    model.train_step(batch)
    assert not same(weights(model.segmenter), s)
    assert same(weights(model.discriminator), d)


def test_a_step_leaves_both_networks_trainable(batch):
    model = make()
    counts = [len(n.trainable_variables) for n in (model.segmenter, model.discriminator)]
    model.train_step(batch)
    assert [len(n.trainable_variables) for n in (model.segmenter, model.discriminator)] == counts
    assert model.segmenter.trainable and model.discriminator.trainable


@pytest.mark.slow
def test_a_step_keeps_the_spectral_norm_of_d(batch):
    model = make()
    free = model.discriminator
    judge = Discriminator(CLASSES, (4, 8), spectral_norm=True)
    model = AdversarialSegmenter(model.segmenter, judge)
    model.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1))
    for _ in range(30):  # one power iteration each
        model.train_step(batch)
    assert norms(judge) == pytest.approx([1, 1, 1], abs=0.02)
    assert norms(free) != pytest.approx([1, 1, 1], abs=0.02)


def norms(discriminator):
    kernels = [discriminator.get_layer(f"conv{i}").kernel.numpy() for i in (1, 2, 3)]
    return [np.linalg.norm(kernel.reshape(-1, kernel.shape[-1]), 2) for kernel in kernels]


def test_no_loss_of_s_reaches_d(batch):
    without = dict.fromkeys(EVERY_TERM, 0.0)
    expected = after_a_step(batch, "discriminator", **without)
    assert same(after_a_step(batch, "discriminator", **EVERY_TERM), expected)


# === What reaches S ===


@pytest.mark.parametrize("weight", ["lambda_adv", "lambda_adv_unlabelled"])
def test_adversarial_loss_reaches_s_through_d(batch, weight):
    without = {"lambda_adv": 0.0, "lambda_semi": 0.0}
    assert not same(after_a_step(batch, **{**without, weight: 1.0}), after_a_step(batch, **without))
    blind = make(**{**without, weight: 1.0})
    for variable in blind.discriminator.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    blind.train_step(batch)
    assert same(weights(blind.segmenter), after_a_step(batch, **without))


def test_adversarial_loss_on_unlabelled_images_is_off_as_in_the_paper(batch):
    supervised = (batch[0], None)
    assert same(
        after_a_step(batch, lambda_semi=0.0),
        after_a_step(supervised),
        rtol=1e-5,
        atol=1e-7,
    )


def test_semi_loss_reaches_s(batch):
    settings = {"lambda_adv": 0.0, "t_semi": 0.1}
    model = make(lambda_semi=1.0, **settings)
    assert step(model, batch)["kept"] == 1
    assert not same(weights(model.segmenter), after_a_step(batch, lambda_semi=0.0, **settings))


def test_semi_loss_reaches_s_from_trusted_pixels_alone(batch):
    settings = {"lambda_adv": 0.0, "t_semi": 0.9999}
    model = make(lambda_semi=1.0, **settings)
    values = step(model, batch)
    assert values["kept"] == values["semi_loss"] == 0
    assert same(weights(model.segmenter), after_a_step(batch, lambda_semi=0.0, **settings))


def test_semi_loss_does_not_reach_d(batch):
    settings = {"lambda_adv": 0.0, "t_semi": 0.1}
    with_it, without = (
        after_a_step(batch, "discriminator", lambda_semi=value, **settings) for value in (1.0, 0.0)
    )
    assert same(with_it, without)


def test_semi_loss_joins_in_at_exactly_its_step_of_a_graph(batch):
    with_it, without = make(lambda_semi=1.0, semi_start=2), make(lambda_semi=0.0)
    steps = [tf.function(model.train_step) for model in (with_it, without)]
    equal = []
    for _ in range(3):
        for run in steps:
            run(batch)
        equal.append(same(weights(with_it.segmenter), weights(without.segmenter)))
    assert equal == [True, True, False]


# === One step equals a reference with separate passes ===


def reference_mean(values, keep):
    return tf.reduce_mean(tf.boolean_mask(values, keep))


def reference_ce(logits, classes, keep):
    picked = tf.gather(tf.nn.softmax(logits), tf.where(keep, classes, 0), batch_dims=3)
    return reference_mean(-tf.math.log(picked), keep)


def reference_bce(model, class_maps, target, keep):
    confidence = tf.sigmoid(model.discriminator(class_maps)[..., 0])
    return reference_mean(-tf.math.log(confidence if target else 1 - confidence), keep)


def reference_step(model, data, both, t_semi):
    """The two updates one after the other: every loss has its own forward passes of S and D."""
    (images, masks), unlabelled = data
    valid, everywhere = masks != IGNORED, tf.ones(unlabelled.shape[:3], bool)
    statistics = model.segmenter.non_trainable_variables
    s, d = model.segmenter.trainable_variables, model.discriminator.trainable_variables

    def predict(x):
        before = [v.numpy() for v in statistics]
        logits = model.segmenter(x, training=True)
        after = [v.numpy() for v in statistics]
        for variable, value in zip(statistics, before, strict=True):
            variable.assign(value)
        return logits, after

    with tf.GradientTape() as tape:
        (logits, moved), (unlabelled_logits, _) = predict(images), predict(unlabelled)
        probs = tf.where(valid[..., tf.newaxis], tf.nn.softmax(logits), 0.0)
        unlabelled_probs = tf.nn.softmax(unlabelled_logits)
        trusted = tf.sigmoid(model.discriminator(unlabelled_probs)[..., 0]) > t_semi
        pseudo_labels = tf.constant(np.argmax(unlabelled_logits, -1), tf.int32)
        loss = (
            reference_ce(logits, masks, valid)
            + EVERY_TERM["lambda_adv"] * reference_bce(model, probs, 1, valid)
            + EVERY_TERM["lambda_adv_unlabelled"]
            * reference_bce(model, unlabelled_probs, 1, everywhere)
            + EVERY_TERM["lambda_semi"] * reference_ce(unlabelled_logits, pseudo_labels, trusted)
        )
    s_gradients = tape.gradient(loss, s)

    maps = tf.where(valid[..., tf.newaxis], tf.one_hot(masks, CLASSES), 0.0)
    fakes = tf.concat([probs, unlabelled_probs], 0) if both else probs
    keep = tf.concat([valid, everywhere], 0) if both else valid
    with tf.GradientTape() as tape:
        d_loss = reference_bce(model, maps, 1, valid) + reference_bce(model, fakes, 0, keep)
    d_gradients = tape.gradient(d_loss, d)

    for variables, gradients in ((s, s_gradients), (d, d_gradients)):
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.assign_sub(0.1 * gradient)
    for variable, value in zip(statistics, moved, strict=True):
        variable.assign(value)
    return float(loss), float(d_loss), float(tf.reduce_mean(tf.cast(trusted, tf.float32)))


@pytest.mark.parametrize(
    ("norm", "fakes"), [("instance", "both"), ("group", "labelled"), ("batch", "labelled")]
)
def test_steps_equal_a_reference_with_separate_passes(batch, norm, fakes):
    settings = {"norm": norm, "discriminator_fakes": fakes, "t_semi": 0.5, **EVERY_TERM}
    model, reference = make(**settings), make(**settings)
    for _ in range(2):
        values = step(model, batch)
        loss, d_loss, kept = reference_step(reference, batch, fakes == "both", t_semi=0.5)
        assert 0 < values["kept"] < 1
        assert values["kept"] == pytest.approx(kept)
        assert values["loss"] == pytest.approx(loss, rel=1e-5)
        assert values["d_loss"] == pytest.approx(d_loss, rel=1e-5)
    tolerances = {"rtol": 1e-4, "atol": 2e-6}
    assert same(weights(model.segmenter), weights(reference.segmenter), **tolerances)
    assert same(weights(model.discriminator), weights(reference.discriminator), **tolerances)


@pytest.mark.parametrize("norm", ["instance", "group"])
def test_one_concatenated_pass_equals_two(batch, norm):
    model = make(norm)
    (images, _), unlabelled = batch
    together = model.segmenter(tf.concat([images, unlabelled], 0), training=True)
    np.testing.assert_allclose(together[:2], model.segmenter(images, training=True), atol=1e-5)
    np.testing.assert_allclose(together[2:], model.segmenter(unlabelled, training=True), atol=1e-5)


def test_unlabelled_images_do_not_touch_the_batch_statistics_of_labelled_ones(batch):
    models = [make("batch", lambda_semi=0.0, lambda_adv=0.0) for _ in range(2)]
    before = [v.numpy() for v in models[0].segmenter.non_trainable_variables]
    labelled, unlabelled = batch
    for model, data in zip(models, [(labelled, unlabelled + 9.0), (labelled, None)], strict=True):
        tf.function(model.train_step)(data)
    assert same(*(weights(model.segmenter) for model in models), rtol=1e-6, atol=1e-7)
    after = [v.numpy() for v in models[0].segmenter.non_trainable_variables]
    assert not any(np.allclose(a, b) for a, b in zip(before, after, strict=True))
    assert models[0].trackers["ce_loss"].result() == models[1].trackers["ce_loss"].result()


# === The ignore label ===


def test_value_of_the_ignore_label_changes_nothing(batch):
    (images, masks), unlabelled = batch
    other = (images, tf.where(masks == IGNORED, 7, masks)), unlabelled
    models = make(**EVERY_TERM), make(ignore_label=7, **EVERY_TERM)
    assert step(models[0], batch) == step(models[1], other)
    for network in ("segmenter", "discriminator"):
        assert same(*(weights(getattr(model, network)) for model in models))


def test_ignored_pixels_count_in_no_loss(batch):
    (images, masks), unlabelled = batch
    model = make()
    logits, label_maps = model.segmenter(images, training=True), tf.one_hot(masks, CLASSES)
    valid = (masks != IGNORED).numpy()
    shown = tf.where(valid[..., None], tf.nn.softmax(logits), 0.0)  # as the label maps: no hint
    real, fake = (model.discriminator(x)[..., 0].numpy() for x in (label_maps, shown))
    real, fake = (1 / (1 + np.exp(-x[valid])) for x in (real, fake))
    probs = tf.nn.softmax(logits).numpy()[valid]
    values = step(model, batch)
    expected = {
        "ce_loss": -np.log(probs[np.arange(len(probs)), masks.numpy()[valid]]).mean(),
        "adv_loss": -np.log(fake).mean(),
        "d_loss": -np.log(real).mean() - np.log(1 - fake).mean(),
        "d_real": real.mean(),
        "d_fake_labelled": fake.mean(),
    }
    assert {name: values[name] for name in expected} == pytest.approx(expected, rel=1e-4)


def test_masks_that_are_ignored_as_a_whole_move_nothing(batch):
    (images, masks), _ = batch
    model = make()
    before = weights(model.segmenter) + weights(model.discriminator)
    values = step(model, ((images, tf.fill(masks.shape, IGNORED)), None))
    assert values == dict.fromkeys(values, 0)
    assert same(weights(model.segmenter) + weights(model.discriminator), before)


# === What a step takes and gives ===


def test_without_unlabelled_images_the_step_is_supervised(batch):
    values = step(make(lambda_adv=0.5), (batch[0], None))
    assert set(values) == SUPERVISED
    assert values["loss"] == pytest.approx(values["ce_loss"] + 0.5 * values["adv_loss"])


@pytest.mark.parametrize("with_unlabelled", [True, False])
def test_without_discriminator_s_learns_alone(batch, with_unlabelled):
    model = make(d=False)
    data = batch if with_unlabelled else (batch[0], None)
    first, second = step(model, data), step(model, data)
    assert set(first) == {"loss", "ce_loss"}
    assert second["loss"] < first["loss"] == first["ce_loss"]
    assert same(weights(model.segmenter), two_steps_of_cross_entropy(data), rtol=1e-4, atol=1e-6)


def two_steps_of_cross_entropy(data):
    (images, masks), _ = data
    segmenter = make(d=False).segmenter
    for _ in range(2):
        with tf.GradientTape() as tape:
            loss = reference_ce(segmenter(images, training=True), masks, masks != IGNORED)
        variables = segmenter.trainable_variables
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign_sub(0.1 * gradient)
    return weights(segmenter)


def test_every_loss_and_figure_is_tracked(batch):
    model = make(t_semi=0.5, **EVERY_TERM)
    values = step(model, batch)
    assert set(values) == ALL
    terms = 0.5 * values["adv_loss"] + 0.3 * values["adv_loss_unlabelled"]
    terms += values["ce_loss"] + 0.7 * values["semi_loss"]
    assert values["loss"] == pytest.approx(terms)
    for name in ("kept", "d_real", "d_fake_labelled", "d_fake_unlabelled"):
        assert 0 < values[name] < 1


def test_discriminator_learns_unlabelled_predictions_as_fake_only_when_told_to(batch):
    labelled, both, supervised = (
        after_a_step(data, "discriminator", discriminator_fakes=fakes)
        for data, fakes in [(batch, "labelled"), (batch, "both"), ((batch[0], None), "both")]
    )
    assert same(labelled, supervised, rtol=1e-5, atol=1e-7)
    assert not same(labelled, both, rtol=1e-5, atol=1e-7)


def test_fit_runs_the_step_and_gives_means_since_the_epoch_began(batch):
    stream = tf.data.Dataset.from_tensors(batch).repeat()
    model, by_hand = make(), make()
    history = model.fit(stream, steps_per_epoch=2, epochs=2, shuffle=False, verbose=0).history
    steps = [step(by_hand, batch) for _ in range(4)]
    for name in ALL:
        means = [np.mean([s[name] for s in pair]) for pair in (steps[:2], steps[2:])]
        assert history[name] == pytest.approx(means, rel=1e-3, abs=1e-5)
    assert same(weights(model.segmenter), weights(by_hand.segmenter), rtol=1e-3, atol=1e-5)


def test_fit_takes_none_for_unlabelled(batch):
    stream = tf.data.Dataset.from_tensors(batch[0]).repeat().map(lambda *pair: (pair, None))
    history = make().fit(stream, steps_per_epoch=1, shuffle=False, verbose=0).history
    assert set(history) == SUPERVISED


def test_model_is_the_segmenter(batch):
    model = make()
    image = batch[1][:, :13, :11]
    np.testing.assert_array_equal(model(image), model.segmenter(image))
    assert model.predict(image, verbose=0).shape == (3, 13, 11, CLASSES)


# === Refusals ===


@pytest.mark.parametrize(
    ("where", "message"),
    [("images", "ce_loss : "), ("unlabelled", r"loss\w* : "), ("discriminator", "adv_loss : ")],
)
def test_what_is_not_a_number_stops_the_step_and_names_the_loss(batch, where, message):
    (images, masks), unlabelled = batch
    model = make()
    data = {
        "images": ((tf.fill(images.shape, np.nan), masks), unlabelled),
        "unlabelled": ((images, masks), tf.fill(unlabelled.shape, np.nan)),
        "discriminator": batch,
    }[where]
    if where == "discriminator":
        model.discriminator.get_layer("conv1").bias.assign([np.nan] * 4)
    before = weights(model.segmenter) + weights(model.discriminator)
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"{message}Tensor had NaN"):
        model.train_step(data)
    after = weights(model.segmenter) + weights(model.discriminator)
    assert same(after, before, rtol=0, atol=0, equal_nan=True)


def test_what_is_not_a_number_stops_fit(batch):
    (images, masks), unlabelled = batch
    data = (tf.fill(images.shape, np.nan), masks), unlabelled
    model = make()
    before = weights(model.segmenter) + weights(model.discriminator)
    with pytest.raises(tf.errors.InvalidArgumentError, match="loss : Tensor had NaN"):
        model.fit(tf.data.Dataset.from_tensors(data), shuffle=False, verbose=0)
    assert same(weights(model.segmenter) + weights(model.discriminator), before)


def test_compile_refuses_a_discriminator_without_optimizer():
    model = AdversarialSegmenter(UNet(2, base_filters=4, depth=1), Discriminator(2, (4,)))
    with pytest.raises(ValueError, match="discriminator_optimizer: expected an optimizer for D"):
        model.compile(keras.optimizers.SGD())


# === Saving ===


def adaptive(norm="instance", **settings):
    return make(
        norm,
        s_optimizer=keras.optimizers.AdamW(1e-2, weight_decay=1e-2),
        d_optimizer=keras.optimizers.Adam(
            keras.optimizers.schedules.PolynomialDecay(1e-2, 10, 0.0, 0.9), 0.9, 0.99
        ),
        **settings,
    )


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_a_loaded_model_goes_on_exactly_as_the_saved_one(batch, tmp_path, norm):
    model = adaptive(norm, semi_start=2, t_semi=0.5, discriminator_fakes="both", **EVERY_TERM)
    for _ in range(2):
        step(model, batch)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is AdversarialSegmenter
    assert loaded.get_config() == model.get_config()
    assert loaded.optimizer.iterations == loaded.discriminator_optimizer.iterations == 2
    parts = ["segmenter", "discriminator", "optimizer", "discriminator_optimizer"]
    for name in parts:
        assert same(*(weights(getattr(m, name)) for m in (model, loaded))), name
    assert step(model, batch) == step(loaded, batch)
    for name in parts:
        assert same(*(weights(getattr(m, name)) for m in (model, loaded))), name


def test_settings_survive_saving(tmp_path):
    settings = {
        "lambda_adv": 0.2,
        "lambda_adv_unlabelled": 0.3,
        "lambda_semi": 0.4,
        "t_semi": 0.6,
        "semi_start": 17,
        "discriminator_fakes": "both",
        "ignore_label": 9,
        "averaging": 0.75,
    }
    make(**settings).save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert {name: getattr(loaded, name) for name in settings} == settings


def test_a_segmenter_alone_survives_saving(batch, tmp_path):
    model = make(d=False)
    step(model, batch)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.discriminator is None
    assert step(model, batch) == step(loaded, batch)
    assert same(weights(model.segmenter), weights(loaded.segmenter))


# === Averaged weights ===


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_averaged_weights_follow_those_of_s(batch, norm):
    model = make(norm, averaging=0.2)
    averaged = weights(model.averaged)
    assert same(averaged, weights(model.segmenter))
    for decay in (2 / 11, 0.2):  # (1 + step) / (10 + step) while that is less
        model.train_step(batch)
        own = weights(model.segmenter)
        averaged = [decay * a + (1 - decay) * b for a, b in zip(averaged, own, strict=True)]
        assert same(weights(model.averaged), averaged, rtol=1e-4, atol=1e-6)
    assert not same(averaged, own, rtol=1e-4, atol=1e-6)


def test_averaging_changes_nothing_that_is_trained(batch):
    assert same(after_a_step(batch, averaging=0.9), after_a_step(batch))
    assert make().averaged is None


def test_predictions_are_made_with_averaged_weights_also_after_saving(batch, tmp_path):
    model = make(averaging=0.9)
    for _ in range(2):
        model.train_step(batch)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.predicting is loaded.averaged
    assert same(weights(loaded.averaged), weights(model.averaged))
    assert not same(weights(loaded.averaged), weights(loaded.segmenter))
