"""Whisper's log-mel spectrogram with numpy, all frames at once; torch would need its own thread."""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from modelservice_runtime.media.audio import Samples

DYNAMIC_RANGE = 8.0


def log_mel(samples: Samples, filters: NDArray[Any], window_length: int, hop: int) -> NDArray[np.float32]:
    """Return the spectrogram [mels, frames] of at least one window of samples; `filters` [frequencies, mels].

    Frames are centred with reflected edges; what lies 80 dB below the loudest point is raised to that, as in training.
    """
    padded = np.pad(samples.astype(np.float64), window_length // 2, mode="reflect")
    window = np.hanning(window_length + 1)[:-1]
    frames = sliding_window_view(padded, window_length)[::hop][:-1]
    power = np.abs(np.fft.rfft(frames * window, axis=-1)) ** 2
    mel = np.log10(np.maximum(filters.T @ power.T, 1e-10))
    return np.asarray((np.maximum(mel, mel.max() - DYNAMIC_RANGE) + 4.0) / 4.0, dtype=np.float32)
