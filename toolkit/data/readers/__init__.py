"""Readers: corpora as they are published -> recordings. One layout a file."""

from toolkit.data.readers.base import READERS, Findings, Reader, Recording
from toolkit.data.readers.jsonl import JsonLines
from toolkit.data.readers.kaldi import KaldiDirectory
from toolkit.data.readers.libritts import LibriTTS
from toolkit.data.readers.ljspeech import LJSpeech
from toolkit.data.readers.m_ailabs import MAILabs
from toolkit.data.readers.table import Table
from toolkit.data.readers.vctk import VCTK

__all__ = [
    "READERS", "VCTK", "Findings", "JsonLines", "KaldiDirectory", "LJSpeech", "LibriTTS", "MAILabs", "Reader", "Recording", "Table",
]  # fmt: skip
