"""OWLv2 finds what words or an example name, SAM 2 draws it: for any use, both under Apache-2.0.

A photo is encoded once by each, SAM 2 only where something was found or clicked. Noun phrases
alone: the levels of an instruction head, and counterexamples, are refused.
"""

import threading
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import Owlv2ForObjectDetection, Sam2Model, Sam2VideoModel
from transformers.models.owlv2.modeling_owlv2 import Owlv2EncoderLayer
from transformers.models.sam2.modeling_sam2 import Sam2MultiScaleBlock, Sam2TwoWayAttentionBlock

from sam3i_agent.core.contracts import WeightsFile
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.instances import ClickMasks, Instances
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Click, Prompt
from sam3i_agent.segmodel.checkpoints.hashes import RunningWeights
from sam3i_agent.segmodel.clicks import check_clicks
from sam3i_agent.segmodel.exemplars import check_box
from sam3i_agent.segmodel.hardware import dtype_name
from sam3i_agent.segmodel.open_vocabulary.detector import Boxes, Detector, Patches, pick
from sam3i_agent.segmodel.open_vocabulary.masker import Masker
from sam3i_agent.segmodel.segmenter import Box, Lookups, Passes, Tracker, Work
from sam3i_agent.segmodel.sharing.encoding_cache import EncodingCache
from sam3i_agent.segmodel.sharing.text_cache import TextCache
from sam3i_agent.segmodel.stop_hooks import stop_hook
from sam3i_agent.segmodel.video.linking import LinkingTracker

_LAYERS = (Owlv2EncoderLayer, Sam2MultiScaleBlock, Sam2TwoWayAttentionBlock)
"""A caller that has gone away stops the work before the next of them."""


class OpenVocabularySegmenter:
    """OWLv2 and SAM 2, ready to use; safe to share between threads, which take turns.

    Args:
        detector: in evaluation mode.
        masker: in evaluation mode, on the same device.
        name: under which they were loaded.
        video: loads the masker with a memory for clips, when the first is followed; None where its
            repository has none.
    """

    levels = (InstructionLevel.CONCEPT,)
    takes_exemplars = True
    takes_clicks = True

    def __init__(
        self,
        detector: Owlv2ForObjectDetection,
        masker: Sam2Model,
        name: str,
        video: Callable[[], Sam2VideoModel] | None = None,
    ) -> None:
        self.name = name
        self._weights = RunningWeights(name)
        self.detector = Detector(detector)
        self.masker = Masker(masker)
        self.tokens = self.detector.tokenizer
        self.turn = threading.Lock()
        """Held by whoever runs the models."""
        self._photos: EncodingCache[OpenVocabularyImage] = EncodingCache()
        self._texts = TextCache()
        self._encoded = self._asked = 0
        self._load_video = video
        self._video: Sam2VideoModel | None = None
        self._loading = threading.Lock()
        for module in (*detector.modules(), *masker.modules()):
            if isinstance(module, _LAYERS):
                module.register_forward_pre_hook(stop_hook)

    @property
    def weights(self) -> tuple[WeightsFile, ...]:
        """Files that it was loaded from, with their hashes; see `Segmenter.weights`."""
        return self._weights.files()

    @property
    def has_memory(self) -> bool:
        """Whether SAM 2's repository has a memory for clips."""
        return self._load_video is not None

    @property
    def context_length(self) -> int:
        """Ids that OWLv2 reads of a text."""
        return self.tokens.context_length

    @property
    def input_side(self) -> int:
        """Side of the square that photos are resized to for OWLv2, in pixels."""
        return self.detector.input_side

    @property
    def description(self) -> str:
        """Name, device and precision, for a log line."""
        model = self.detector.model
        return f"{self.name} on {model.device.type} in {dtype_name(model.dtype)}"

    def count_tokens(self, text: str) -> int:
        """Return the ids that `text` needs, start and end markers included."""
        return self.tokens.count_tokens(text)

    def work(self) -> Work:
        """Return what the models have done so far."""
        return Work(
            photos=Lookups(self._photos.hits, self._photos.misses),
            texts=Lookups(self._texts.hits, self._texts.misses),
            kept_bytes=self._photos.nbytes,
            encoder=Passes(self._encoded, self._encoded),
            decoder=Passes(self._asked, self._asked),
        )

    def encode(self, photo: Photo, *, keep: bool = True) -> "OpenVocabularyImage":
        """Encode `photo` for OWLv2, or return what was kept from before; see `Segmenter.encode`.

        Raises:
            StoppedError: the caller of `stopping.run_in_thread` was cancelled.
        """
        if not keep:
            return self._encode(photo)
        return self._photos.get(f"{photo.sha256} {photo.size_hw}", lambda: self._encode(photo))

    def click(
        self,
        photo: Photo,
        clicks: Sequence[Click] = (),
        box_xyxy: Box | None = None,
        mask: NDArray[np.bool_] | None = None,
        *,
        several: bool = True,
    ) -> ClickMasks:
        """Return the masks of the one instance that clicks and a box mean; see `Segmenter`."""
        check_clicks(clicks, box_xyxy, mask, photo.size_hw)
        image = self.encode(photo)
        with self.turn, torch.inference_mode():
            maps = image.maps()
            return self.masker.click(maps, photo.size_hw, clicks, box_xyxy, mask, several=several)

    def follow(self, text: str) -> Tracker:
        """Return what follows a noun phrase: by SAM 2's memory where its repository has one.

        Raises:
            ModelError: the memory cannot be loaded.
        """
        if self._load_video is None:
            return LinkingTracker(self, text)
        from sam3i_agent.segmodel.open_vocabulary.following import MemoryOfThings

        with self._loading:
            if self._video is None:
                self._video = self._load_video()
        return MemoryOfThings(self._video, self.masker, self.turn, self, text)

    def answer(self, image: "OpenVocabularyImage", prompts: Sequence[Prompt]) -> list[Instances]:
        """Answer `prompts` about an encoded photo; see `EncodedImage.segment`."""
        _check(prompts, image.photo.size_hw)
        if not prompts:
            return []
        with self.turn, torch.inference_mode():
            self._asked += 1
            found = self._boxes(image.patches, prompts)
            together = torch.cat([one.boxes_xyxy for one in found])
            size_hw = image.photo.size_hw
            masks = self.masker.masks_of(image.maps() if len(together) else [], together, size_hw)
        answers: list[Instances] = []
        first = 0
        for one in found:
            last = first + len(one.scores)
            answers.append(
                Instances(
                    masks=masks[first:last],
                    boxes_xyxy=one.boxes_xyxy.cpu().numpy(),
                    scores=one.scores.cpu().numpy(),
                    presence=one.presence,
                )
            )
            first = last
        return answers

    def _encode(self, photo: Photo) -> "OpenVocabularyImage":
        with self.turn, torch.inference_mode():
            self._encoded += 1
            return OpenVocabularyImage(self, photo, self.detector.look(photo))

    def _boxes(self, patches: Patches, prompts: Sequence[Prompt]) -> list[Boxes]:
        """Return the boxes of each prompt, from one product of all texts and examples."""
        texts = list(dict.fromkeys(one.text for one in prompts if one.text))
        examples = list(
            dict.fromkeys(example.box_xyxy for one in prompts for example in one.exemplars)
        )
        queries = self._read(texts) if texts else patches.looks[:0]
        seen = [self.detector.query_of(patches, one) for one in examples]
        read, alike = self.detector.scores(
            patches, queries, torch.stack(seen) if seen else patches.looks[:0]
        )
        found: list[Boxes] = []
        for one in prompts:
            columns = [read[:, texts.index(one.text)]] if one.text else []
            columns += [alike[:, examples.index(shown.box_xyxy)] for shown in one.exemplars]
            # Whoever says a word and shows an example wants both: the surer of them counts.
            found.append(pick(patches, torch.stack(columns).amax(0), one.min_score))
        return found

    def _read(self, texts: Sequence[str]) -> Tensor:
        return self._texts.get(
            texts, lambda missing: self.detector.read([texts[one] for one in missing])
        )


class OpenVocabularyImage:
    """A photo that OWLv2 has seen, and SAM 2 where that was needed.

    Args:
        segmenter: that answers.
        photo: the picture; SAM 2 may look at it later.
        patches: what OWLv2 sees of it.
    """

    def __init__(self, segmenter: OpenVocabularySegmenter, photo: Photo, patches: Patches) -> None:
        self.photo = photo
        self.patches = patches
        self._segmenter = segmenter
        self._maps: list[Tensor] | None = None

    @property
    def encodings(self) -> int:
        """Passes of the photo through the encoders, of which SAM 2's is no further one: 1."""
        return 1

    @property
    def nbytes(self) -> int:
        """Bytes of the features and the photo."""
        maps = sum(one.nbytes for one in self._maps or ())
        return self.photo.pixels.nbytes + self.patches.nbytes + maps

    def maps(self) -> list[Tensor]:
        """Return what SAM 2 sees, computed once; the caller holds the turn."""
        if self._maps is None:
            self._maps = self._segmenter.masker.look(self.photo)
        return self._maps

    def segment(self, prompts: Sequence[Prompt]) -> list[Instances]:
        """Return the instances of each prompt; see `segmenter.EncodedImage`."""
        return self._segmenter.answer(self, prompts)


def _check(prompts: Sequence[Prompt], size_hw: tuple[int, int]) -> None:
    """Refuse what cannot be answered before anything runs."""
    for prompt in prompts:
        if prompt.level not in OpenVocabularySegmenter.levels:
            raise InputError(
                f"OWLv2 reads noun phrases, no {prompt.level} instructions",
                "use the agent route, or a SAM3-I model",
            )
        for one in prompt.exemplars:
            check_box(one.box_xyxy, size_hw)
            if not one.positive:
                raise InputError(
                    "OWLv2 knows examples, no counterexamples",
                    "leave the negative boxes out, or use --model facebook/sam3",
                )
