"""Effects: pure functions from a waveform and explicit parameters to a waveform; nothing here is random by itself."""
