"""A training recipe: everything that decides a training besides the data, as one TOML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pydantic

from edgeseg.errors import BadInputError, UsageError
from edgeseg.files import read_toml, sha256_bytes
from edgeseg.specs import Int8Target, ModelSpec, PreprocessSpec
from edgeseg.train.architectures.catalogue import encoder_of
from edgeseg.train.choices import ANY_CLASSES, SEVERAL_CLASSES, LossName, OptimiserName, ScheduleName
from edgeseg.train.model_recipe import FINITE, ModelRecipe
from edgeseg.train.recipe_folders import find_recipe
from edgeseg.train.recipe_settings import apply_setting
from edgeseg.values import Part, Value, describe_validation

ConcretePrecision = Literal["32-true", "bf16-mixed", "16-mixed"]
Precision = Literal["auto", ConcretePrecision]


class TrainingRecipe(Part):
    """The loop."""

    model_config = FINITE

    epochs: int = pydantic.Field(default=20, ge=0)
    """0 keeps the weights that it starts from (`--start`) as they are: two networks become one, or another key of the
    network is tried."""
    batch_size: int = pydantic.Field(default=12, ge=1)
    loss: LossName = "bce+dice"
    """`cross-entropy` and `cross-entropy+dice` are for several classes, `dice`, `weighted-dice` and `focal-tversky` for
    any number, the others for one. Soft BCE is `bce` with `label_smoothing`."""
    false_positive_weight: float = pydantic.Field(default=1.0, ge=0)
    """`weighted-dice`: weight of what is marked and should not be."""
    false_negative_weight: float = pydantic.Field(default=1.0, ge=0)
    """`weighted-dice`: weight of what is missed."""
    optimiser: OptimiserName = "adamw"
    momentum: float = pydantic.Field(default=0.9, ge=0, lt=1)
    """`sgd`: share of the former step in the next one."""
    learning_rate: float = pydantic.Field(default=1e-3, gt=0)
    """The schedule's largest rate."""
    weight_decay: float = pydantic.Field(default=1e-2, ge=0)
    """`adamw` shrinks the weights by it; all others add it to the gradient, as L2 regularisation."""
    schedule: ScheduleName = "one-cycle"
    """`step`: times `decay_factor` every `decay_epochs`. `plateau`: times `decay_factor` after `decay_epochs` without a
    better validation Dice. `cosine`: down to 0. `cyclic`: between a tenth of the rate and the rate, up in
    `decay_epochs` and down in as many."""
    decay_factor: float = pydantic.Field(default=0.1, gt=0, lt=1)
    decay_epochs: int = pydantic.Field(default=10, ge=1)
    warmup: float = pydantic.Field(default=0.25, ge=0, lt=1)
    """`one-cycle`: share of all steps in which the learning rate rises."""
    fraction: float = pydantic.Field(default=1.0, gt=0, le=1)
    """Share of the training images used, drawn by `seed` and content: a smaller share is part of every larger one."""
    patience: int = pydantic.Field(default=0, ge=0)
    """Stop after so many epochs without a better validation Dice; 0 never stops early."""
    keep: Literal["best", "last"] = "best"
    """The epoch whose weights are kept: that of the best validation Dice, which is read at 0.5, or the last, for a
    network whose threshold is chosen afterwards."""
    ema_decay: float = pydantic.Field(default=0.0, ge=0, lt=1)
    """Keep an exponential moving average of the weights, which is validated and exported; 0 keeps none."""
    negative_share: float = pydantic.Field(default=0.25, gt=0, lt=1)
    """Share of each batch that comes from the negatives, where there are any."""
    label_smoothing: float = pydantic.Field(default=0.0, ge=0, lt=0.5)
    """The targets of the cross entropy are this far from 0 and 1."""
    teacher_share: float = pydantic.Field(default=0.5, ge=0, le=1)
    """Share of the teachers' answer in the targets, where there are any teachers."""
    style_mixing: float = pydantic.Field(default=0.0, ge=0, le=1)
    """Networks with a pretrained encoder: probability that a batch mixes the statistics of its first features."""
    hard_pixels: float = pydantic.Field(default=0.0, ge=0, le=1)
    """Share of each picture's pixels, the hardest ones, whose mean cross entropy is added to the loss; 0 adds none."""
    auxiliary_weights: tuple[pydantic.NonNegativeFloat, ...] = (0.4,)
    """Weights of the losses of a network's auxiliary outputs (deep supervision), beside 1 for its logits: one for each,
    and the last for all further ones; empty leaves them out. 0.4 is that of PSPNet (Zhao et al., 2017, section 4.2)."""
    sizes: tuple[int, ...] = ()
    """Heights that the batches are resized to, one drawn for each; empty trains only at the network's size."""
    seed: int = pydantic.Field(default=0, ge=0)
    precision: Precision = "auto"
    """auto: bf16-mixed where the machine is fast at it, else 32-true; a RUN's recipe holds what was chosen. 16-mixed
    scales its gradients and needs a GPU."""
    gradient_clip: float = pydantic.Field(default=5.0, ge=0)
    """Greatest 2-norm of all gradients together; 0 does not clip."""
    deterministic: bool = False
    """Let PyTorch use deterministic kernels only; a CPU's always are."""
    compile: bool = False
    """Compile the network with torch.compile; whether that pays, benchmarks/training_loop.py tells."""
    sync_batchnorm: bool = False
    """Batch statistics over all processes instead of each one's share; on GPUs."""
    qat_target: Int8Target = "cpu"
    """`--qat`: whose INT8 graph is simulated, that of `onnxruntime` and `openvino`, or that of TensorRT."""


class AugmentationRecipe(Part):
    """The changes to a training image, each with its own strength; 0 switches it off."""

    model_config = FINITE

    flip: bool = True
    """Mirror it, from left to right and from top to bottom, each in half of the cases."""
    rotation_deg: float = pydantic.Field(default=30.0, ge=0, le=180)
    translation: float = pydantic.Field(default=0.1, ge=0, le=0.5)
    """Share of the picture's size."""
    scale: float = pydantic.Field(default=0.25, ge=0, lt=1)
    """Zoom between 1 - scale and 1 + scale."""
    zoom_out: float = pydantic.Field(default=0.0, ge=0, lt=1)
    """Zoom out as far as 1 - zoom_out where that is further than `scale` goes; black surrounds the picture."""
    zoom_in: float = pydantic.Field(default=0.0, ge=0, le=3)
    """Zoom in as far as 1 + zoom_in where that is further than `scale` goes; the picture's border is cut off."""
    brightness: float = pydantic.Field(default=0.2, ge=0, le=1)
    contrast: float = pydantic.Field(default=0.2, ge=0, le=1)
    saturation: float = pydantic.Field(default=0.2, ge=0, le=1)
    hue: float = pydantic.Field(default=0.03, ge=0, le=0.5)
    blur: float = pydantic.Field(default=0.2, ge=0, le=1)
    """Probability of a Gaussian blur."""
    equalise: float = pydantic.Field(default=0.0, ge=0, le=1)
    """Probability that the histogram of each colour is equalised; a network that runs sees pictures as they are."""
    illumination: float = pydantic.Field(default=0.0, ge=0, le=1)
    """Probability of an uneven light: a bright or dark patch, or a slope over the picture."""
    endoscopy: float = pydantic.Field(default=0.0, ge=0, le=1)
    """Probability of each of interlace combing, highlights, glare, a dark border, motion blur and grain."""
    mosaic: float = pydantic.Field(default=0.0, ge=0, le=1)
    """Probability that a picture is four small ones."""
    pasted_polyps: float = pydantic.Field(default=0.0, ge=0, le=1)
    """Probability that a picture without a polyp gets a small one of another picture."""
    covered_polyps: float = pydantic.Field(default=0.0, ge=0, le=1)
    """Probability that a picture without a polyp gives way to one of the batch whose polyp is covered by mucosa."""
    colour_exchange: float = pydantic.Field(default=0.0, ge=0, le=1)
    """Probability that a picture takes over colour statistics of another one of the batch."""


class Recipe(Value):
    """A whole recipe."""

    model: ModelRecipe = ModelRecipe()
    training: TrainingRecipe = TrainingRecipe()
    augmentation: AugmentationRecipe = AugmentationRecipe()

    @pydantic.model_validator(mode="after")
    def _training_fits_the_network(self) -> Recipe:
        step = self.model.size_step
        for size in self.training.sizes:
            if size <= 0 or size % step or size * self.model.width % (self.model.height * step):
                raise ValueError(f"training.sizes must be multiples of {step} for this network, not {size}")
        if self.training.style_mixing and encoder_of(self.model.architecture) is None:
            raise ValueError(f"training.style_mixing needs a network with an encoder, not {self.model.architecture}")
        return self

    @pydantic.model_validator(mode="after")
    def _loss_fits_classes(self) -> Recipe:
        loss = self.training.loss
        if self.model.classes and self.training.hard_pixels:
            raise ValueError("training.hard_pixels is for one class")
        if self.model.classes and loss not in SEVERAL_CLASSES | ANY_CLASSES:
            fitting = ", ".join(sorted(SEVERAL_CLASSES | ANY_CLASSES))
            raise ValueError(f"training.loss={loss} is for one class; with model.classes there are {fitting}")
        if not self.model.classes and loss in SEVERAL_CLASSES:
            raise ValueError(
                f"training.loss={loss} of one class is zero whatever the network says; it needs model.classes, "
                f'for example ["background", "{self.model.class_name}"]'
            )
        return self

    @property
    def sha256(self) -> str:
        """Hash of what differs from the defaults: comments, order and later additions to this class do not matter.

        The precision 32-true counts as a default, as it was one in older RUNs; auto is settled before a RUN is made.
        """
        training = self.training
        if training.precision == "32-true":
            training = training.model_copy(update={"precision": "auto"})
        document = self.model_copy(update={"training": training})
        return sha256_bytes(document.model_dump_json(exclude_defaults=True).encode())

    def model_spec(self) -> ModelSpec:
        """The spec that the stages after training need."""
        model = self.model
        return ModelSpec(
            architecture=model.architecture,
            encoder=encoder_of(model.architecture),
            classes=model.classes or (model.class_name,),
            height=model.height,
            width=model.width,
            output="softmax" if model.classes else "sigmoid",
        )

    def preprocess_spec(self) -> PreprocessSpec:
        """How its frames are prepared."""
        return PreprocessSpec(mean=self.model.mean, std=self.model.std)


def read_recipe(path: Path | None, settings: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply `KEY=VALUE` settings.

    Args:
        path: A TOML file, or the name of a recipe that comes with edgeseg; None takes the defaults.
        settings: Settings such as ``training.epochs=3``; the value is TOML, or else text.

    Raises:
        BadInputError: The file is missing, no TOML, or does not validate.
        UsageError: A setting that names nothing or has no value.
    """
    document = read_toml(find_recipe(path), "a recipe") if path is not None else {}
    for setting in settings:
        apply_setting(document, setting)
    try:
        return Recipe.model_validate(document)
    except pydantic.ValidationError as error:
        kind = UsageError if settings else BadInputError
        raise kind(
            f"the recipe {path or '(defaults)'} does not hold together", found=describe_validation(error)
        ) from error


def recipe_to_toml(recipe: Recipe) -> str:
    """The recipe with every value spelled out, as TOML."""
    document = recipe.to_dict()
    lines = [f"schema_version = {document.pop('schema_version')}"]
    for section, values in document.items():
        lines += ["", f"[{section}]", *(f"{key} = {_toml_value(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml_value(key)} = {_toml_value(item)}" for key, item in value.items()) + "}"
    return repr(value)
