"""Writes the reference of the log-mel spectrograms: packages/iqvae/test/goldens/log-mel.safetensors.

Needs numpy, librosa and safetensors; run as `python3 tools/goldens_log_mel.py`.
"""
from pathlib import Path

import librosa
import numpy as np
from safetensors.numpy import save_file

TARGET = Path(__file__).parents[1] / "packages" / "iqvae" / "test" / "goldens" / "log-mel.safetensors"
RATE, WINDOW, SPECTRUM, HOP, BANDS, RANGE = 16_000, 400, 512, 320, 32, 70

# A gliding tone with overtones, a hiss that swells by 50 dB, a near silence in the middle: loud at both ends, so that nothing of
# it is cut off as silence. Its length is no multiple of the hop.
generator = np.random.default_rng(1980)
time = np.arange(7_900) / RATE
glide = sum(np.sin(2 * np.pi * k * (120 * time + 250 * time**2)) / k for k in range(1, 12))
hiss = generator.normal(size=time.size) * 10 ** (-2.5 + 5 * time)
sound = glide + hiss
sound[3_000:4_200] *= 1e-4
sound[[0, -1]] = np.abs(sound).max()
sound = np.round(sound / np.abs(sound).max() * 20_000).astype(np.int16)

# librosa puts the shorter window into the middle of the spectrum's length: zeros in front let it begin with the sound.
lead = (SPECTRUM - WINDOW) // 2
frames = -(-sound.size // HOP)
padded = np.zeros(lead + frames * HOP + SPECTRUM)
padded[lead : lead + sound.size] = sound / 32_768
powers = np.abs(librosa.stft(padded, n_fft=SPECTRUM, hop_length=HOP, win_length=WINDOW, window="hann", center=False)) ** 2
filters = librosa.filters.mel(
    sr=RATE, n_fft=SPECTRUM, n_mels=BANDS, fmin=60, fmax=7_600, htk=True, norm=None, dtype=np.float64
)
mel = filters @ powers[:, :frames]
levels = librosa.power_to_db(mel, ref=np.max, amin=1e-30, top_db=RANGE)

save_file(
    {
        "sound": sound,
        "filters": filters.astype(np.float32),
        "levels": np.round(255 * (1 + levels / RANGE)).astype(np.uint8),
    },
    TARGET,
)
print(f"{TARGET.name}: {TARGET.stat().st_size} bytes, {frames} frames, librosa {librosa.__version__}")
