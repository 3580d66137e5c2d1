"""The names of SAM 3's modules, official and ours, as one table that is read in both directions."""

import re
from collections.abc import Iterable, Mapping
from functools import cache

Rule = tuple[str, str]
"""Official and our name of a module; `{n}` stands for a number, `{xy}` for one of the letters."""
_PLACEHOLDERS = {"{n}": r"(\d+)", "{xy}": "([xy])"}
VIT_LAYER = "vision_encoder.backbone.layers.{n}"
NECK_LAYER = "vision_encoder.neck.fpn_layers.{n}"
_TEXT_LAYER = "text_encoder.text_model.encoder.layers.{n}"

MODULES: tuple[Rule, ...] = (
    (
        "backbone.vision_backbone.trunk.patch_embed.proj",
        "vision_encoder.backbone.embeddings.patch_embeddings.projection",
    ),
    ("backbone.vision_backbone.trunk.ln_pre", "vision_encoder.backbone.layer_norm"),
    ("backbone.vision_backbone.trunk.blocks.{n}", VIT_LAYER),
    ("backbone.vision_backbone.convs.{n}", NECK_LAYER),
    (
        "backbone.language_backbone.encoder.token_embedding",
        "text_encoder.text_model.embeddings.token_embedding",
    ),
    ("backbone.language_backbone.encoder.ln_final", "text_encoder.text_model.final_layer_norm"),
    ("backbone.language_backbone.encoder.transformer.resblocks.{n}", _TEXT_LAYER),
    ("backbone.language_backbone.resizer", "text_projection"),
    ("geometry_encoder.encode.{n}", "geometry_encoder.layers.{n}"),
    ("geometry_encoder.encode_norm", "geometry_encoder.output_layer_norm"),
    ("geometry_encoder.norm", "geometry_encoder.prompt_layer_norm"),
    ("geometry_encoder.img_pre_norm", "geometry_encoder.vision_layer_norm"),
    *(
        (f"geometry_encoder.{name}", f"geometry_encoder.{name}")
        for name in (
            "label_embed",
            "cls_embed",
            "final_proj",
            "boxes_direct_project",
            "boxes_pool_project",
            "boxes_pos_enc_project",
        )
    ),
    ("transformer.encoder.layers.{n}", "detr_encoder.layers.{n}"),
    ("transformer.decoder.layers.{n}", "detr_decoder.layers.{n}"),
    ("transformer.decoder.norm", "detr_decoder.output_layer_norm"),
    ("transformer.decoder.presence_token_out_norm", "detr_decoder.presence_layer_norm"),
    *(
        (f"transformer.decoder.{name}", f"detr_decoder.{name}")
        for name in ("query_embed", "reference_points", "presence_token")
    ),
    ("transformer.decoder.bbox_embed", "detr_decoder.box_head"),
    ("transformer.decoder.presence_token_head", "detr_decoder.presence_head"),
    ("transformer.decoder.ref_point_head", "detr_decoder.ref_point_head"),
    ("transformer.decoder.boxRPB_embed_{xy}", "detr_decoder.box_rpb_embed_{xy}"),
    ("segmentation_head.pixel_decoder", "mask_decoder.pixel_decoder"),
    ("segmentation_head.mask_predictor.mask_embed", "mask_decoder.mask_embedder"),
    (
        "segmentation_head.mask_predictor_adapter1.mask_embed",
        "mask_decoder.mask_embedder.simple",
    ),
    (
        "segmentation_head.mask_predictor_adapter2.mask_embed",
        "mask_decoder.mask_embedder.complex",
    ),
    ("segmentation_head.cross_attend_prompt", "mask_decoder.prompt_cross_attn"),
    ("segmentation_head.cross_attn_norm", "mask_decoder.prompt_cross_attn_norm"),
    ("segmentation_head.semantic_seg_head", "mask_decoder.semantic_projection"),
    ("segmentation_head.instance_seg_head", "mask_decoder.instance_projection"),
    ("dot_prod_scoring.prompt_mlp.out_norm", "dot_product_scoring.text_mlp_out_norm"),
    ("dot_prod_scoring.prompt_mlp", "dot_product_scoring.text_mlp"),
    ("dot_prod_scoring.prompt_proj", "dot_product_scoring.text_proj"),
    ("dot_prod_scoring.hs_proj", "dot_product_scoring.query_proj"),
)

_FEEDFORWARD: tuple[Rule, ...] = (("linear1", "mlp.fc1"), ("linear2", "mlp.fc2"))
_PATHS: tuple[Rule, ...] = (
    ("adapter1", "adapters.simple"),
    ("adapter12", "adapters.complex_in"),
    ("adapter2", "adapters.complex_out"),
)
_ENCODER_LAYER: tuple[Rule, ...] = (
    ("self_attn", "self_attn"),
    ("cross_attn_image", "cross_attn"),
    ("norm{n}", "layer_norm{n}"),
    *_FEEDFORWARD,
)
INSIDE: Mapping[str, tuple[Rule, ...]] = {
    VIT_LAYER: (
        ("norm{n}", "layer_norm{n}"),
        ("attn.qkv", "attention.qkv"),
        ("attn.proj", "attention.o_proj"),
        ("mlp.fc{n}", "mlp.fc{n}"),
    ),
    NECK_LAYER: (
        ("dconv_2x2_0", "scale_layers.0"),
        ("dconv_2x2_1", "scale_layers.2"),
        ("dconv_2x2", "scale_layers.0"),
        ("conv_1x1", "proj1"),
        ("conv_3x3", "proj2"),
    ),
    _TEXT_LAYER: (
        ("attn", "self_attn"),
        ("ln_{n}", "layer_norm{n}"),
        ("mlp.c_fc", "mlp.fc1"),
        ("mlp.c_proj", "mlp.fc2"),
        *((f"{path}.mha_adapter", f"{ours}.attention") for path, ours in _PATHS),
        *_PATHS,
    ),
    "geometry_encoder.layers.{n}": _ENCODER_LAYER,
    "detr_encoder.layers.{n}": (*_ENCODER_LAYER, *_PATHS),
    "detr_decoder.layers.{n}": (
        ("self_attn", "self_attn"),
        ("norm2", "self_attn_layer_norm"),
        ("ca_text", "text_cross_attn"),
        ("catext_norm", "text_cross_attn_layer_norm"),
        ("cross_attn", "vision_cross_attn"),
        ("norm1", "vision_cross_attn_layer_norm"),
        ("norm3", "mlp_layer_norm"),
        *_FEEDFORWARD,
        *_PATHS,
    ),
}
"""Names inside a numbered layer, by our name of the layer."""

NUMBERED_MLPS = (
    "detr_decoder.box_head.",
    "detr_decoder.presence_head.",
    "detr_decoder.ref_point_head.",
    "detr_decoder.box_rpb_embed_",
    "dot_product_scoring.text_mlp.",
)
"""Modules whose official `layers.K` is `layer{K+1}` here."""


def translate(
    name: str, rules: Iterable[Rule], *, back: bool = False
) -> tuple[Rule, str, str] | None:
    """Return the rule for a name's beginning, its translation, and the rest behind the dot.

    The longest beginning counts: `adapter1.mha_adapter` before `adapter1`.

    Args:
        name: of a weight.
        rules: to look in.
        back: from our names to the official ones.
    """
    best: tuple[Rule, str, str] | None = None
    length = -1
    for rule in rules:
        ours, theirs = rule[back], rule[not back]
        found = pattern_of(ours).match(name)
        if found and found.end() > length:
            length = found.end()
            numbers = iter(found.groups())
            translated = re.sub(r"\{\w+\}", lambda _, it=numbers: next(it), theirs)
            best = rule, translated, name[length + 1 :]
    return best


@cache
def pattern_of(template: str) -> re.Pattern[str]:
    """Return what matches the names that begin with a module of the tables."""
    pattern = re.escape(template)
    for placeholder, meaning in _PLACEHOLDERS.items():
        pattern = pattern.replace(re.escape(placeholder), meaning)
    return re.compile(pattern + r"(?=\.)")
