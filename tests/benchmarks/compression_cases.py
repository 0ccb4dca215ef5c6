"""What the compression benchmark compresses, how, and what it aims at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One compression.

    Attributes:
        model: what is compressed.
        passes: specs, in order.
        target: what was aimed at, in words.
    """

    model: str
    passes: tuple[str, ...]
    target: str


FINE_INT4 = "quantize:weights=int4,rounding=reconstruct,samples=256"
FINE_STEPS = "qat:loss=features,epochs=4,lr=0.001,batch=16,threads=1"

FEWER = "prune:criterion=fisher,samples=512,scope=layer"
"""Shares differ by layer: found by trial, judged on a tenth of the training images."""

CASES: Mapping[str, Case] = {
    "mnist, int8": Case("mnist_cnn", ("quantize",), "no loss"),
    "mnist, low rank": Case(
        "mnist_cnn",
        ("lowrank:params=0.195,weigh=outputs,samples=2000", "quantize"),
        "19.5 % of parameters at no loss",
    ),
    "mnist, 5 %, int8": Case(
        "mnist_cnn",
        (
            FEWER + ",sparsity=0.8125,protect=/6/*+/9/*",
            FEWER + ",sparsity=0.78125,protect=/0/*+/3/*",
            "distill:epochs=60,lr=0.005,shift=1,threads=1",
            "quantize",
        ),
        "<= 5 % of parameters and MACs at <= 0.3 points, 60x smaller at <= 0.5",
    ),
    "mnist, 90 % zeros": Case(
        "mnist_cnn",
        (
            "prune:granularity=weight,sparsity=0.9,steps=3,epochs=2,lr=0.003",
            "distill:epochs=20,lr=0.003,shift=1,threads=1",
            "quantize",
        ),
        "fewer instructions at <= 0.3 points",
    ),
    "resnet8, int8": Case("resnet8_jpeg", ("quantize",), "within 0.2 points"),
    "resnet8, int4": Case(
        "resnet8_jpeg", ("quantize:weights=int4,rounding=reconstruct",), "within 0.7 points"
    ),
    "resnet8, 4-bit palettes": Case(
        "resnet8_jpeg", ("cluster:bits=4,per=channel,epochs=3,lr=0.0003", "quantize"), "small loss"
    ),
    "resnet8, half the MACs": Case(
        "resnet8_jpeg",
        (
            FEWER + ",sparsity=0.8125,protect=conv_[!2]",
            FEWER + ",sparsity=0.40625,protect=conv_[!4]",
            FEWER + ",sparsity=0.28125,protect=conv_[!7]",
            "distill:loss=features,inside=20,epochs=40,lr=0.003,flip=true,shift=4,threads=1",
            "distill:epochs=12,lr=0.001,flip=true,shift=4,threads=1",
            "quantize",
        ),
        "2x fewer MACs within 1.0 points",
    ),
    "kws, uneven, min-max": Case(
        "dscnn_kws, uneven",
        ("quantize:estimator=minmax,bias_correction=false",),
        "fails: channels up to 100x apart",
    ),
    "kws, uneven, equalized": Case(
        "dscnn_kws, uneven", ("quantize:equalize=true",), ">= 90 % of that loss recovered"
    ),
    "vww, int8": Case("mobilenetv1_025_vww", ("quantize",), "agreement >= 98 %, loss <= 2 of 124"),
    "vww, int4": Case(
        "mobilenetv1_025_vww", ("quantize:weights=int4,rounding=reconstruct",), "small loss"
    ),
    "kws, int8": Case("dscnn_kws", ("quantize",), "agreement >= 98 %, loss <= 3 of 500"),
    "kws, int4": Case("dscnn_kws", ("quantize:weights=int4,rounding=reconstruct",), "small loss"),
    "kws, 4-bit palettes": Case("dscnn_kws", ("cluster:bits=4,per=channel", "quantize"), "no loss"),
    "fashion, W8A8": Case("fashion_net", ("quantize",), "within 0.1 points"),
    "fashion, W4A8": Case(
        "fashion_net", (FINE_INT4, FINE_STEPS), "within 0.1 points in 60 s, two weights a byte"
    ),
    "ad, int8": Case("ad_autoencoder", ("quantize",), "MSE within 2 %"),
    "ad, low rank": Case("ad_autoencoder", ("lowrank:params=0.5", "quantize"), "MSE within 5 %"),
}
