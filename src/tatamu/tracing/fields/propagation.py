"""From a walk to what each of its values reads of the input."""

from __future__ import annotations

from collections.abc import Mapping

from tatamu.tracing.fields import spatial, sums, views
from tatamu.tracing.fields.terms import permuted, source, viewed
from tatamu.tracing.fields.unions import Field, union
from tatamu.tracing.fields.views import Rule, each
from tatamu.tracing.steps import Step, Value, Views, Write
from tatamu.tracing.walk import Walk

_RULES: Mapping[Rule, str] = {
    views.regrouped: "view _unsafe_view reshape _reshape_alias squeeze unsqueeze squeeze_ unsqueeze_ flatten "
    "unflatten view_as_real alias clone detach _to_copy lift_fresh lift_fresh_copy contiguous",
    views.reordered: "permute transpose t transpose_ t_",
    views.broadcast: "expand",
    views.repeated: "repeat",
    views.sliced: "slice",
    views.selected: "select",
    views.unbound: "unbind",
    views.split: "split split_with_sizes unsafe_split unsafe_split_with_sizes",
    views.concatenated: "cat",
    views.stacked: "stack",
    views.flipped: "flip",
    views.rolled: "roll",
    views.padded: "constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d "
    "replication_pad2d replication_pad3d",
    views.shuffled: "pixel_shuffle pixel_unshuffle",
    views.channels_shuffled: "channel_shuffle native_channel_shuffle",
    views.unfolded: "unfold",
    views.columns: "im2col",
    spatial.convolved: "convolution",
    spatial.pooled: "max_pool2d_with_indices max_pool3d_with_indices avg_pool1d avg_pool2d avg_pool3d",
    spatial.adaptively_pooled: "_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool2d "
    "adaptive_max_pool3d",
    spatial.interpolated: "upsample_nearest1d upsample_nearest2d upsample_nearest3d "
    "_upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d upsample_linear1d "
    "upsample_bilinear2d upsample_trilinear3d upsample_bicubic2d _upsample_bilinear2d_aa "
    "_upsample_bicubic2d_aa",
    sums.copied: "copy_ copy",
    sums.reduced: "sum mean amax amin max min var std prod logsumexp linalg_vector_norm norm any all "
    "argmax argmin var_mean std_mean aminmax median",
    sums.along: "_softmax _log_softmax _safe_softmax sort topk index_select gather",
    sums.accumulated: "cumsum cumprod",
    sums.layer_normalised: "native_layer_norm _fused_rms_norm",
    sums.group_normalised: "native_group_norm",
    sums.batch_normalised: "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training "
    "_batch_norm_no_update _batch_norm_with_update",
    sums.multiplied: "mm addmm bmm baddbmm",
    sums.attended: "_scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_flash_attention "
    "_scaled_dot_product_efficient_attention _scaled_dot_product_fused_attention_overrideable",
    sums.weighted: "mv dot",
}  # fmt: skip
_BY_NAME: Mapping[str, Rule] = {name: rule for rule, names in _RULES.items() for name in names.split()}

_MAKES_NEW = frozenset(
    (
        "fill", "fill_", "zero_", "zeros_like", "ones_like", "empty_like", "full_like", "rand_like",
        "randn_like", "new_empty", "new_zeros", "new_ones", "new_full", "new_empty_strided", "bernoulli_",
        "normal_", "uniform_",
    )
)  # fmt: skip
"""Operations whose results have nothing of their inputs but sizes."""


def propagated(walk: Walk) -> dict[int, Field]:
    """What each value of a walk reads of the first input, by the value's number.

    The input is (N, C, …): pixels are told apart by the axes after the first two, whatever their channel.
    Values that are not there read nothing.
    """
    known: dict[int, Field] = {}
    if len(walk.inputs[0].shape) > 2:
        known[walk.inputs[0].number] = (source(walk.inputs[0].shape),)

    def fields(value: Value) -> Field:
        return known.get(value.number, ())

    for step in walk.steps:
        if any(fields(value) for value in step.inputs) or step.writes:
            for output, field in zip(step.outputs, _of(step, fields), strict=False):
                if field:
                    known[output.number] = field
            for write in step.writes:
                known[write.after.number] = _written(walk, write, fields)
                for other, steps in write.others:
                    known[other.number] = _seen(walk, steps, known[write.after.number])
    return known


def _of(step: Step, fields: views.Fields) -> list[Field]:
    name = step.operator.partition(".")[2].partition(".")[0]
    rule = _BY_NAME.get(name)
    if name in _MAKES_NEW:
        return [()]
    if rule is None:
        rule = sums.number_by_number if step.is_pointwise else sums.everything
    found = rule(step, fields)
    return found if isinstance(found, list) else [found]


def _written(walk: Walk, write: Write, fields: views.Fields) -> Field:
    """A tensor of which a view was written into: what it read, or else what was written reads."""
    field, covers = fields(write.written), True
    for number, output in reversed(write.views):
        step = walk.steps[number]
        given = step.inputs[0]
        name = step.operator.removeprefix("aten.").partition(".")[0]
        if _BY_NAME.get(name) is views.regrouped:
            field = each(field, lambda term: viewed(term, given.shape))  # noqa: B023 - used at once.
        elif name in ("slice", "select", "split", "split_with_sizes", "unbind"):
            field, covers = _put_back(step, output, field), False
        elif name in ("permute", "transpose", "t"):
            field = _turned_back(step, field)
        else:
            return sums.everything(step, lambda _: field)[0]  # noqa: B023 - used at once.
    return field if covers else union([*fields(write.before), *field])


def _seen(walk: Walk, views: Views, field: Field) -> Field:
    """A view of a tensor with this field."""
    for number, output in views:
        field = _of(walk.steps[number], lambda _: field)[output]  # noqa: B023 - used at once.
    return field


def _put_back(step: Step, output: int, field: Field) -> Field:
    """From what was taken out of a tensor to the tensor, which reads nothing elsewhere."""
    shape = step.inputs[0].shape
    dim, places = views.places_of(step, output)
    part = (*shape[:dim], len(places), *shape[dim + 1 :])
    reads = [(places.index(it),) if it in places else () for it in range(shape[dim])]
    return views.taken(each(field, lambda term: viewed(term, part)), dim, reads)


def _turned_back(step: Step, field: Field) -> Field:
    order = views.order_of(step)
    back = [order.index(it) for it in range(len(order))]
    return each(field, lambda term: permuted(term, back))
