"""A source-filter voice that says syllables without meaning: the bona fide half of the demo corpus.

A glottal pulse with jitter, shimmer and breath drives moving formants; frication goes past them; pitch declines and
wanders (Fant, 1960; Klatt and Klatt, 1990). A voice is drawn from a seed, an utterance from a voice and a seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

Array = NDArray[np.float64]
Seed = int | Sequence[int]

SAMPLE_RATE = 16000
BLOCK = 64  # samples with constant formants: 4 ms
OVERSAMPLING = 4  # of the glottal pulse, whose closure is sharp

# F1 to F3 in Hz of ten English vowels spoken by men (Peterson and Barney, 1952)
VOWELS = (
    (270, 2290, 3010),
    (390, 1990, 2550),
    (530, 1840, 2480),
    (660, 1720, 2410),
    (730, 1090, 2440),
    (570, 840, 2410),
    (440, 1020, 2240),
    (300, 870, 2240),
    (640, 1190, 2390),
    (490, 1350, 1690),
)
NASALS = ((260, 1000, 2200), (260, 1550, 2500))
UPPER_FORMANTS = (3500, 4500, 5500, 6500, 7400)
BANDWIDTHS = (70.0, 90.0, 130.0, 200.0, 260.0, 320.0, 380.0, 440.0)
FRICATIVES = ((5800, 2200), (3200, 1400), (4500, 5000), (1800, 1500))  # centre and width in Hz; roughly s, sh, f, x


@dataclass(frozen=True)
class Voice:
    """What stays the same from one utterance of a speaker to the next."""

    f0: float  # Hz
    liveliness: float  # semitones by which accents rise
    tract: float  # factor on formant frequencies; a short tract has more than 1
    damping: float  # factor on formant bandwidths
    open_quotient: float  # part of a cycle with the glottis open
    closing: float  # part of a cycle that the return to closure takes; more is duller
    breath: float  # aspiration noise against the pulse, linear
    jitter: float  # relative standard deviation of periods
    shimmer: float  # relative standard deviation of pulse heights
    sibilance: float  # strength of frication, linear
    syllable_s: float  # mean vowel duration


@dataclass(frozen=True)
class Phone:
    """One sound: where the formants aim, and how strong each source is."""

    seconds: float
    formants: tuple[int, ...]
    voicing: float = 0.0
    frication: float = 0.0
    band: tuple[int, int] = (4000, 2000)  # centre and width of the frication in Hz


def draw_voice(seed: Seed) -> Voice:
    """Draw a speaker."""
    rng = np.random.default_rng(seed)
    tract = rng.uniform(0.92, 1.2)
    return Voice(
        f0=110.0 * 2.0 ** (4.0 * (tract - 1.0) + rng.normal(0.0, 0.2)),  # short tracts tend to have short vocal folds
        liveliness=rng.uniform(1.0, 3.5),
        tract=tract,
        damping=rng.uniform(0.8, 1.4),
        open_quotient=rng.uniform(0.45, 0.7),
        closing=rng.uniform(0.004, 0.02),
        breath=10 ** (rng.uniform(-28.0, -16.0) / 20),
        jitter=rng.uniform(0.005, 0.015),
        shimmer=rng.uniform(0.03, 0.08),
        sibilance=10 ** (rng.uniform(-3.0, 6.0) / 20),
        syllable_s=rng.uniform(0.1, 0.17),
    )


def utter(voice: Voice, seed: Seed, seconds: float) -> NDArray[np.float32]:
    """Let a voice say something.

    Args:
        voice: who speaks.
        seed: what is said, and how.
        seconds: duration.

    Returns:
        wave: (samples,) float32, 16 kHz, RMS 0.1.
    """
    rng = np.random.default_rng(seed)
    samples = round(seconds * SAMPLE_RATE)
    blocks = -(-samples // BLOCK)
    phones = _draw_phones(voice, rng, seconds)
    counts = np.array([max(1, round(phone.seconds * SAMPLE_RATE / BLOCK)) for phone in phones])
    index = np.repeat(np.arange(len(phones)), counts)[:blocks]  # which phone each block belongs to
    formants = _glide(np.array([_formants(voice, phone) for phone in phones])[index], width=15)  # (blocks, 8)
    voicing = _glide(np.array([phone.voicing for phone in phones])[index], width=7)
    accents = rng.normal(0.0, 1.0, len(phones))[index]
    f0 = voice.f0 * 2.0 ** (_intonation(voice, accents, rng) / 12.0)
    source = _glottal_source(voice, _to_samples(f0, samples), _to_samples(voicing, samples), rng)
    wave = _cascade(source, formants, voice.damping) + voice.sibilance * _frication(phones, counts, samples, rng)
    level = float(np.sqrt(np.mean(wave**2)))
    return np.asarray(0.1 * wave / level, dtype=np.float32)


def _draw_phones(voice: Voice, rng: np.random.Generator, seconds: float) -> list[Phone]:
    """Draw syllables, now and then a pause, until the time is up."""
    phones: list[Phone] = []
    while sum(phone.seconds for phone in phones) < seconds:
        vowel = VOWELS[rng.integers(len(VOWELS))]
        band = FRICATIVES[rng.integers(len(FRICATIVES))]
        length = rng.uniform(0.8, 1.2)
        match rng.choice(["fricative", "voiced fricative", "stop", "voiced stop", "nasal", "none"]):
            case "fricative":
                phones.append(Phone(0.1 * length, vowel, 0.0, 0.35, band))
            case "voiced fricative":
                phones.append(Phone(0.07 * length, vowel, 0.3, 0.15, band))
            case "stop":
                closure, burst = Phone(0.06 * length, vowel), Phone(0.012, vowel, 0.0, 0.6, band)
                phones += [closure, burst, Phone(0.03 * length, vowel, 0.1, 0.08, band)]
            case "voiced stop":
                phones += [Phone(0.05 * length, (200, *vowel[1:]), 0.12), Phone(0.008, vowel, 0.3, 0.3, band)]
            case "nasal":
                phones.append(Phone(0.07 * length, NASALS[rng.integers(len(NASALS))], 0.5))
        phones.append(Phone(voice.syllable_s * rng.uniform(0.6, 1.5), vowel, rng.uniform(0.7, 1.0)))
        if rng.random() < 0.4:  # diphthong
            phones.append(Phone(0.5 * voice.syllable_s, VOWELS[rng.integers(len(VOWELS))], rng.uniform(0.6, 0.9)))
        if rng.random() < 0.12:
            phones.append(Phone(rng.uniform(0.08, 0.2), vowel))
    return phones


def _formants(voice: Voice, phone: Phone) -> Array:
    """Scale the phone's formants to the voice's tract."""
    return voice.tract * np.array([*phone.formants, *UPPER_FORMANTS])


def _glide(targets: Array, width: int) -> Array:
    """Move between targets (blocks, …) as smoothly as the tongue: a Hann window over `width` blocks."""
    window = signal.windows.hann(width + 2)[1:-1]
    padded = np.pad(targets, [(width // 2, width // 2)] + [(0, 0)] * (targets.ndim - 1), mode="edge")
    glided: Array = signal.oaconvolve(
        padded, window.reshape(-1, *[1] * (targets.ndim - 1)) / window.sum(), "valid", axes=0
    )
    return glided


def _to_samples(values: Array, samples: int) -> Array:
    return np.interp(np.arange(samples) / BLOCK, np.arange(len(values)) + 0.5, values)


def _intonation(voice: Voice, accents: Array, rng: np.random.Generator) -> Array:
    """Give the pitch of each block in semitones around the voice's mean: declination, accents, slow wandering."""
    blocks = len(accents)
    declination = np.linspace(1.0, -1.0, blocks) * rng.uniform(0.5, 2.5)
    wander = _glide(rng.normal(0.0, 1.0, blocks), width=25)  # 100 ms: micro-prosody
    return declination + _glide(voice.liveliness * accents, width=61) + 0.8 * wander


def _glottal_source(voice: Voice, f0: Array, voicing: Array, rng: np.random.Generator) -> Array:
    """Make pulses and breath, (samples,) like f0 in Hz and voicing in [0, 1].

    The pulse is the derivative of the glottal flow in the manner of Liljencrants and Fant (1985): a growing sine while
    the glottis is open, then an exponential return.
    """
    opened, closing = voice.open_quotient, voice.closing
    position = np.arange(4096) / 4096  # within a cycle
    growing = np.exp(3.0 * (position / opened - 1.0)) * np.sin(np.pi * position / (0.75 * opened))
    edge = np.sin(np.pi / 0.75)  # the sine's value at closure, below 0
    pulse = np.where(position < opened, growing, edge * np.exp(-(position - opened) / closing))
    pulse = (pulse - pulse.mean()) / np.std(pulse)
    opening = np.where(position < opened, np.sin(np.pi * position / opened), 0.0)

    f0 = np.repeat(f0, OVERSAMPLING) / (OVERSAMPLING * SAMPLE_RATE)  # cycles per fine sample
    cycle = np.cumsum(f0).astype(int)
    jitter = np.clip(rng.normal(0.0, voice.jitter, cycle[-1] + 1), -0.05, 0.05)
    phase = np.cumsum(f0 * (1.0 + jitter[cycle])) + rng.random()
    cycle = phase.astype(int)
    place = ((phase - cycle) * len(position)).astype(int)
    heights = np.clip(1.0 + rng.normal(0.0, voice.shimmer, cycle[-1] + 1), 0.5, 1.5)
    pulses = signal.resample_poly(pulse[place] * heights[cycle], 1, OVERSAMPLING)
    breath = np.diff(rng.normal(0.0, 1.0, len(voicing)), prepend=0.0)  # rises with frequency, as aspiration does
    breath *= 0.3 + opening[place[::OVERSAMPLING]]  # strongest while the glottis is open
    return voicing * (pulses + voice.breath * breath)


def _cascade(source: Array, formants: Array, damping: float) -> Array:
    """Filter by resonators of gain one at 0 Hz (Klatt, 1980), whose frequencies (blocks, 8) change block by block."""
    radius = np.exp(-np.pi * damping * np.array(BANDWIDTHS) / SAMPLE_RATE)
    radius = np.where(formants < 0.45 * SAMPLE_RATE, radius, 0.0)  # those near the Nyquist frequency do nothing
    first = -2.0 * radius * np.cos(2.0 * np.pi * formants / SAMPLE_RATE)
    second = radius**2
    nothing = np.zeros_like(first)
    sections = np.stack([1.0 + first + second, nothing, nothing, nothing + 1.0, first, second], axis=-1)
    step = np.diff(first, axis=0, prepend=first[:1]) / np.maximum(second, 1e-9)
    result, state = np.empty_like(source), np.zeros((formants.shape[1], 2))
    for block, section in enumerate(sections):
        part = slice(block * BLOCK, (block + 1) * BLOCK)
        state[:, 0] += step[block] * state[:, 1]  # as if the past had been filtered so: else every step would click
        result[part], state = signal.sosfilt(section, source[part], zi=state)
    return result


def _frication(phones: list[Phone], counts: NDArray[np.int64], samples: int, rng: np.random.Generator) -> Array:
    """Make the noise of fricatives and bursts, each phone in its own band, fading in and out."""
    result = np.zeros(samples + int(counts.max()) * BLOCK)
    for phone, start, count in zip(phones, np.cumsum(counts) - counts, counts, strict=True):
        if phone.frication == 0.0 or start * BLOCK >= samples:
            continue
        length = int(count) * BLOCK
        centre, width = phone.band
        band = np.clip([centre - width / 2, centre + width / 2], 300, 0.47 * SAMPLE_RATE)
        noise = signal.sosfilt(
            signal.butter(2, band, "bandpass", fs=SAMPLE_RATE, output="sos"), rng.normal(size=length)
        )
        envelope = signal.windows.tukey(length, 0.5)
        result[start * BLOCK : start * BLOCK + length] += phone.frication * envelope * noise / np.std(noise)
    return result[:samples]
